//! Rows of CSV files.

use super::*;

#[test]
fn csv_rows_become_objects_and_bad_ones_keep_their_place() {
    let rows = b"\xef\xbb\xbfcarrier,delay,at\nUA,2,2013-01-01T05:00:00Z\n\n\"A\nA\",NA,2013-01-01 06:00:00\nB6,x,2013-01-01\nDL,1\nEV,,2013-01-02";
    let directory = directory(&[("a.csv", rows)]);
    let spec = spec(
        r#"{"path": "a.csv"}"#,
        r#", "decode": {"csv": {"columns": {"delay": "int"}, "null": "NA"}}, "event_time": {"path": "$.at", "unit": "iso"}, "key": "$.carrier""#,
    );
    let batch = read_all(&spec, directory.path());
    let wanted = [
        r#"{"carrier":"UA","delay":2,"at":"2013-01-01T05:00:00Z"}"#,
        r#"{"carrier":"A\nA","at":"2013-01-01 06:00:00"}"#,
        r#"{"carrier":"EV","at":"2013-01-02"}"#,
    ];
    assert_eq!(values(&batch), wanted);
    assert_eq!(batch.events.timestamps(), [1_357_016_400_000, 1_357_020_000_000, 1_357_084_800_000]);
    assert_eq!(batch.events.keys().get(1), Some(&b"A\nA"[..]));
    assert_eq!(origins(&batch), ["a.csv:6", "a.csv:7"]);
    assert_eq!(batch.undecodable[0].raw, b"B6,x,2013-01-01");
    assert!(batch.undecodable[0].reason.contains("`x` is not a whole number"), "{}", batch.undecodable[0].reason);
    let mut reader = open_one(&spec, directory.path(), 0, 1).expect("it opens");
    let again = reader.decode_again(b"B6,7,2013-01-01", "a.csv:6");
    assert_eq!(values(&again), [r#"{"carrier":"B6","delay":7,"at":"2013-01-01"}"#], "the header is that of its file");
}

#[test]
fn csv_columns_may_be_named_by_the_job() {
    let directory = directory(&[("a.csv.gz", &gzip(b"1;2\n3;4\n"))]);
    let batch = read_all(
        &spec(r#"{"path": "a.csv.gz"}"#, r#", "decode": {"csv": {"header": ["x", "y"], "delimiter": ";"}}"#),
        directory.path(),
    );
    assert_eq!(values(&batch), [r#"{"x":"1","y":"2"}"#, r#"{"x":"3","y":"4"}"#]);
}

#[test]
fn an_open_quote_does_not_read_the_rest_of_the_disk() {
    let rows = [b"a,b\n1,2\n\"3,4\n", vec![b'x'; 40 << 20].as_slice()].concat();
    let directory = directory(&[("a.csv", &rows)]);
    let mut reader = open_one(&spec(r#"{"path": "a.csv"}"#, r#", "decode": {"csv": {}}"#), directory.path(), 0, 1)
        .expect("it opens");
    let (batch, error) = drain(&mut *reader, 100, 1000);
    assert_eq!(batch.events.len(), 1);
    let error = error.expect("an open quote");
    assert!(error.message.contains("`a.csv:3`") && error.message.contains("never closed"), "{error}");
}
