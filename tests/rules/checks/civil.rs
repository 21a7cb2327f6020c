//! Dates in the three forms of RFC 9110 section 5.6.7, written from its text.

const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [(&str, u64); 12] = [
    ("Jan", 31),
    ("Feb", 28),
    ("Mar", 31),
    ("Apr", 30),
    ("May", 31),
    ("Jun", 30),
    ("Jul", 31),
    ("Aug", 31),
    ("Sep", 30),
    ("Oct", 31),
    ("Nov", 30),
    ("Dec", 31),
];

/// Every spelling of a time, in seconds since 1970 and before 2070: IMF-fixdate, RFC 850, asctime.
pub(super) fn spellings(seconds: u64) -> Vec<String> {
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    // 1970 began on a Thursday.
    let weekday = DAYS[(days % 7) as usize];
    let mut year = 1970;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = "";
    for (name, length) in MONTHS {
        month = name;
        let length = length + u64::from(name == "Feb" && leap(year));
        if days < length {
            break;
        }
        days -= length;
    }
    let (day, short) = (days + 1, &weekday[..3]);
    let mut all = vec![
        format!("{short}, {day:02} {month} {year} {clock} GMT"),
        format!("{short} {month} {day:2} {clock} {year}"),
        format!("{short} {month} {day:02} {clock} {year}"),
    ];
    // A year of two digits is one of these hundred (section 5.6.7), as far as anybody can tell.
    if (1970..2070).contains(&year) {
        all.push(format!("{weekday}, {day:02}-{month}-{:02} {clock} GMT", year % 100));
    }
    all
}
