use super::*;

/// What a yes takes by default.
const DEFAULT: [u8; 4] = [1, 5, 6, 8];

fn read_text(text: &str) -> Result<Said, GppError> {
    read(text.as_bytes(), &DEFAULT)
}

fn ids(header: &str) -> Option<Vec<u32>> {
    section_ids(header.as_bytes())
}

#[test]
fn the_headers_of_the_specification_name_their_sections() {
    // The specification's three examples, then those of IAB Tech Lab's own encoder, which pads to whole octets.
    assert_eq!(ids("DBABM"), Some(vec![2]));
    assert_eq!(ids("DBACNY"), Some(vec![2, 6]));
    assert_eq!(ids("DBABjw"), Some(vec![5, 6]));
    assert_eq!(ids("DBABTA"), Some(vec![6]));
    assert_eq!(ids("DBABLA"), Some(vec![7]));
    assert_eq!(ids("DBACNYA"), Some(vec![2, 6]));
    assert_eq!(ids("DBACOeA"), Some(vec![2, 5, 6]));
    assert_eq!(ids("DBACOYs"), Some([2].into_iter().chain(5..=23).filter(|id| *id != 3).collect()));
}

#[test]
fn what_is_no_header_is_none() {
    // Another type, another version, cut short, more sections than exist, not of the alphabet.
    for header in ["", "D", "DB", "DBAB", "CBABM", "DCABM", "DB__A", "DBAB=", "DBAB M", "é"] {
        assert_eq!(ids(header), None, "{header}");
    }
    let endless = format!("DBAB{}", "A".repeat(100));
    assert_eq!(ids(&endless), None, "a Fibonacci number without an end");
}

#[test]
fn a_number_in_fibonacci_coding_is_the_sum_of_its_bits() {
    // Wikipedia's table, which the specification refers to.
    let codes = ["11", "011", "0011", "1011", "00011", "10011", "01011", "000011", "100011", "010011", "001011"];
    for (number, code) in (1_u32..).zip(codes) {
        let padded = format!("{code:0<12}");
        let text: Vec<u8> = padded
            .as_bytes()
            .chunks(6)
            .map(|six| {
                let value = six.iter().fold(0_usize, |value, bit| value << 1 | usize::from(*bit == b'1'));
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[value]
            })
            .collect();
        assert_eq!(Bits::of(&text).unwrap().fibonacci(), Some(number), "{code}");
    }
}

/// One section a string: its header by the id.
const HEADERS: [(u32, &str); 17] = [
    (7, "DBABLA"),
    (8, "DBABBg"),
    (9, "DBABRg"),
    (10, "DBABJg"),
    (11, "DBABFg"),
    (12, "DBABVg"),
    (13, "DBABAw"),
    (14, "DBABQw"),
    (15, "DBABIw"),
    (16, "DBABEw"),
    (17, "DBABUw"),
    (18, "DBABCw"),
    (19, "DBABSw"),
    (20, "DBABKw"),
    (21, "DBABAY"),
    (22, "DBABQY"),
    (23, "DBABIY"),
];

/// Of each section: somebody who opted out, as IAB Tech Lab's encoder writes it (`BVV…`), and somebody of whom nothing is known.
const SECTIONS: [(u32, &str, &str); 17] = [
    (7, "BVVVkkkkkpFY", "BAAAAAAAAABA"),
    (8, "BVWSSSVY", "BAAAAABA"),
    (9, "BVWSSVY", "BAAAABA"),
    (10, "BVWSSVg", "BAAAAEA"),
    (11, "BVVkklWA", "BAAAAAQA"),
    (12, "BVWSSZFg", "BAAAAAEA"),
    (13, "BVWSSZlY", "BAAAAABA"),
    (14, "BVWSSZFY", "BAAAAABA"),
    (15, "BVWSSRpFYA", "BAAAAAABAA"),
    (16, "BVWSSVWA", "BAAAAAQA"),
    (17, "BVWSSSSVYA", "BAAAAAABAA"),
    (18, "BVVkklWA", "BAAAAAQA"),
    (19, "BVWSSVWA", "BAAAAAQA"),
    (20, "BVWSSZFY", "BAAAAABA"),
    (21, "BVWSSRklWA", "BAAAAAAAQA"),
    (22, "BVWSSVWA", "BAAAAAQA"),
    (23, "BVWSSVWA", "BAAAAAQA"),
];

#[test]
fn an_opt_out_in_any_state_is_a_no_and_its_absence_is_nothing() {
    for ((id, header), (of, opted_out, silent)) in HEADERS.into_iter().zip(SECTIONS) {
        assert_eq!((ids(header), id), (Some(vec![id]), of));
        assert_eq!(read_text(&format!("{header}~{opted_out}")), Ok(Said::No), "{id}");
        assert_eq!(read_text(&format!("{header}~{silent}")), Ok(Said::Nothing), "{id}");
        assert_eq!(read_text(&format!("{header}~{silent}.QA")), Ok(Said::Nothing), "{id}");
        assert_eq!(read_text(&format!("{header}~{silent}.YA")), Ok(Said::No), "{id}: Global Privacy Control");
        assert_eq!(read_text(&format!("{header}~C{}", &silent[1..])).is_err(), id != 7, "{id}: version 2");
        assert_eq!(read_text(&format!("{header}~D{}", &silent[1..])), Err(GppError::Section(id)), "{id}: version 3");
        assert_eq!(read_text(&format!("{header}~{}", &silent[..2])), Err(GppError::Section(id)), "{id}: cut short");
    }
}

/// A national section of these fields: the six notices are 1, then sale, sharing, targeted advertising.
fn national(opt_outs: [usize; 3]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = opt_outs.iter().fold(0, |bits, field| bits << 2 | field);
    format!("DBABLA~BVV{}AAAAAA", char::from(alphabet[last]))
}

#[test]
fn each_opt_out_counts_by_itself() {
    assert_eq!(read_text(&national([2, 2, 2])), Ok(Said::Nothing));
    for opted_out in 0..3 {
        let mut fields = [2; 3];
        fields[opted_out] = 1;
        assert_eq!(read_text(&national(fields)), Ok(Said::No), "{fields:?}");
        fields[opted_out] = 3;
        assert_eq!(read_text(&national(fields)), Err(GppError::Section(7)), "{fields:?} is no value");
    }
}

/// Purposes 1 to 10; 1, 2 and 3.
const ALL: &str = "COvFyGBOvFyGBAbAAAENAPCAAP_AAAAAAAAAAEEUACCKAAA";
const PART: &str = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA";

#[test]
fn european_and_canadian_sections_say_yes_by_their_purposes() {
    assert_eq!(read_text(&format!("DBABMA~{ALL}")), Ok(Said::Yes));
    assert_eq!(read_text(&format!("DBABMA~{PART}")), Ok(Said::No));
    assert_eq!(read(format!("DBABMA~{PART}").as_bytes(), &[1, 3]), Ok(Said::Yes));
    assert_eq!(read_text("DBABMA~COvFyGBOvFyG"), Err(GppError::Section(2)));
    // Express: 1 to 6 and 13 to 18. Implied: 7 to 12 and 19 to 24.
    let canadian = "DBABDA~BPSG_8APSG_8AAyACAENGdCgf_gfgAfgfgBgABABAAABAB4AACACAAA.fHHHA4444ao";
    assert_eq!(read_text(canadian), Ok(Said::Yes));
    let none = "DBABDA~BPSG_8APSG_8AAAAAAENAACAAAAAAAAAAAAAAAAAAA.YAAAAAAAAAA";
    assert_eq!(read_text(none), Ok(Said::No));
}

#[test]
fn one_no_outweighs_the_other_sections() {
    for (text, said) in [
        (format!("DBACNYA~{ALL}~1YNN"), Ok(Said::Yes)),
        (format!("DBACNYA~{ALL}~1YYN"), Ok(Said::No)),
        (format!("DBACNYA~{PART}~1YNN"), Ok(Said::No)),
        (format!("DBACNYA~{ALL}~1---"), Ok(Said::Yes)),
        (format!("DBACNYA~{ALL}~2YNN"), Err(GppError::Section(6))),
        (format!("DBACNYA~{PART}~2YNN"), Ok(Said::No)),
        ("DBABTA~1YNN".to_owned(), Ok(Said::Nothing)),
    ] {
        assert_eq!(read_text(&text), said, "{text}");
    }
}

#[test]
fn what_does_not_fit_its_header_is_unreadable() {
    for (text, error) in [
        ("", GppError::Header),
        ("~", GppError::Header),
        ("1YNN", GppError::Header),
        ("DBABTA", GppError::Sections),
        ("DBABTA~1YNN~1YNN", GppError::Sections),
        ("DBACNYA~1YNN", GppError::Sections),
        ("DBABTA~", GppError::Section(6)),
        ("DBABTA~1YXN", GppError::Section(6)),
        ("DBABLA~BVV!", GppError::Section(7)),
        // A section that was registered later may hold a no.
        ("DBABEY~BAAAAAQA", GppError::Section(24)),
    ] {
        assert_eq!(read_text(text), Err(error), "{text}");
    }
    assert_eq!(read(&[b'D'; 5000], &DEFAULT), Err(GppError::TooLong));
}

#[test]
fn every_cut_and_every_flipped_bit_is_answered() {
    let text = format!("DBACNYA~{ALL}~1YNN");
    for end in 0..text.len() {
        let _ = read(&text.as_bytes()[..end], &DEFAULT);
    }
    for byte in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[byte] ^= 1 << bit;
            let _ = read(&bytes, &DEFAULT);
        }
    }
}
