//! Stands in for the crate `mimalloc`, which asks mimalloc for an alignment with every allocation.
//!
//! Of what has a size that is no power of two, mimalloc 3 then allocates a larger block than is needed, in another
//! place, whenever the first block of that size is not free at once: so blocks of one size are spread over the pages
//! of two, and the pages of the right size are never looked through again. Asked without an alignment it takes its
//! short way, and what it gives is aligned to 16 bytes or to the size, if that is smaller, as `malloc` has to.
//!
//! It can go once the crate does the same: github.com/purpleprotocol/mimalloc_rust/pull/170.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc, mi_zalloc_aligned,
};

/// mimalloc, for `#[global_allocator]`.
pub struct MiMalloc;

/// What every allocation of at least that size is aligned to: C's `max_align_t`.
const ALWAYS: usize = 16;

/// Whether an allocation of this size is aligned like this without being asked.
const fn is_always(size: usize, align: usize) -> bool {
    align <= ALWAYS && align <= size
}

// SAFETY: these are mimalloc's own functions, each of which gives null or a block of at least that size, aligned as was
// asked or, where nothing was, as `is_always` says; and each takes back what any of the others gave.
unsafe impl GlobalAlloc for MiMalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        if is_always(size, align) {
            unsafe { mi_malloc(size) }.cast()
        } else {
            unsafe { mi_malloc_aligned(size, align) }.cast()
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        if is_always(size, align) {
            unsafe { mi_zalloc(size) }.cast()
        } else {
            unsafe { mi_zalloc_aligned(size, align) }.cast()
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        unsafe { mi_free(block.cast()) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_always(size, layout.align()) {
            unsafe { mi_realloc(block.cast(), size) }.cast()
        } else {
            unsafe { mi_realloc_aligned(block.cast(), size, layout.align()) }.cast()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What the two functions without an alignment are trusted with.
    #[test]
    fn every_block_is_aligned_as_its_layout_says() {
        let mut kept = Vec::new();
        for round in 0..3 {
            for size in (1..2048).chain([4096, 5000, 1 << 16, 100_000, 1 << 20, 3_000_000]) {
                for align in [1, 2, 4, 8, 16, 32, 64, 128] {
                    let layout = Layout::from_size_align(size, align).expect("a layout");
                    let block = unsafe { MiMalloc.alloc(layout) };
                    assert!(!block.is_null() && block as usize % align == 0, "{layout:?} in round {round}");
                    let last = unsafe { block.add(size - 1) };
                    unsafe { last.write(round as u8 + 1) };
                    let larger = size + size / 2 + 1;
                    let block = unsafe { MiMalloc.realloc(block, layout, larger) };
                    assert!(!block.is_null() && block as usize % align == 0, "{layout:?} to {larger}");
                    assert_eq!(unsafe { block.add(size - 1).read() }, round as u8 + 1, "{layout:?} to {larger}");
                    let zeroed = unsafe { MiMalloc.alloc_zeroed(layout) };
                    assert!(!zeroed.is_null() && zeroed as usize % align == 0, "{layout:?}");
                    assert!((0..size).all(|at| unsafe { zeroed.add(at).read() } == 0), "{layout:?}");
                    unsafe { zeroed.write_bytes(1, size) };
                    unsafe { MiMalloc.dealloc(zeroed, layout) };
                    let layout = Layout::from_size_align(larger, align).expect("a layout");
                    if size % 7 == round && size < 4096 {
                        kept.push((block, layout));
                    } else {
                        unsafe { MiMalloc.dealloc(block, layout) };
                    }
                }
            }
        }
        for (block, layout) in kept {
            unsafe { MiMalloc.dealloc(block, layout) };
        }
    }
}
