//! Boxes whose content is made where it stays.

/// What `make` gives, in a box.
///
/// `Box::new(make())` makes it on the stack and copies all of it, for there it is dropped where there is no memory for
/// the box. Of a request's future, two kilobytes, no more than a tenth is there to be copied when it is new. Here the
/// memory comes first.
#[inline]
pub fn boxed<T>(make: impl FnOnce() -> T) -> Box<T> {
    let room = Box::new_uninit();
    Box::write(room, make())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_made() {
        assert_eq!(*boxed(|| [7_u8; 2000]), [7; 2000]);
    }

    #[test]
    fn what_panics_in_the_making_is_no_box() {
        let made = std::panic::catch_unwind(|| boxed(|| -> [u8; 2000] { panic!("not made") }));
        assert!(made.is_err());
    }
}
