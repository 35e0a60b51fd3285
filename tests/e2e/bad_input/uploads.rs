//! Uploads that are no module.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::guests::odd;
use crate::host::{Host, text};

#[test]
fn bytes_that_are_no_whole_module_are_refused_with_what_they_are() {
    let host = Host::start();
    let whole = std::fs::read(odd("echo")).unwrap();
    let table: [(&[u8], &str, &str); 5] = [
        (b"#!/bin/sh\necho hello\n", "not-wasm", "it begins with \"#!/bin/s\""),
        (b"(module)", "not-wasm", "text format"),
        (b"", "not-wasm", "upload a .wasm file"),
        (&whole[..whole.len() / 2], "truncated", "upload the whole file"),
        (b"\0asm\x01\0\0\0", "no-component-types", "build it with wit-bindgen or the SDK"),
    ];
    for (bytes, code, sentence) in table {
        let answer = host.post("/v1/modules?name=it@1").body(bytes.to_vec()).send().unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (422, "application/problem+json")
        );
        let problem: Value = answer.json().unwrap();
        assert_eq!(problem["code"], code, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(sentence), "{problem}");
    }
    assert_eq!(host.json("/v1/modules")["modules"], json!([]));
    host.assert_up();
}

#[test]
fn an_upload_of_a_gibibyte_is_refused_before_it_is_sent() {
    let host = Host::start();
    let mut connection = TcpStream::connect(host.address.trim_start_matches("http://")).unwrap();
    let head = "POST /v1/modules?name=huge@1 HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/wasm\r\n\
        content-length: 1073741824\r\n\r\n";
    connection.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !text(&answer).contains("\r\n\r\n") || !text(&answer).ends_with('}') {
        let mut block = [0; 4096];
        let count = connection.read(&mut block).unwrap();
        assert!(count > 0, "{}", text(&answer));
        answer.extend_from_slice(&block[..count]);
    }
    let answer = text(&answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let problem: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(problem["code"], "too-large");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("1073741824 bytes") && !problem["hint"].as_str().unwrap().is_empty(), "{problem}");
    host.assert_up();
}
