//! Its codes are those of the program, and of `docs/protocol.md`.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::Code;
use serde_json::json;

use crate::support::text;
use crate::{document, operations};

/// The rows of the table of errors in `docs/protocol.md`: code, status, retry, when.
fn table() -> BTreeMap<String, (String, String, String)> {
    let document = include_str!("../../../docs/protocol.md");
    let section = document.split("\n## Errors\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its end");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let row = |row: &str| {
        let mut cells = row.splitn(4, " |").map(|cell| cell.trim().to_owned());
        let mut cell = || cells.next().expect("four cells");
        let code = cell().trim_end_matches('`').to_owned();
        (code, (cell(), cell(), cell()))
    };
    rows.map(row).collect()
}

#[test]
fn the_codes_are_those_of_the_protocol_with_the_same_status_and_meaning() {
    let codes = document()["components"]["schemas"]["Code"]["enum"].as_array().expect("codes");
    let codes: BTreeSet<_> = codes.iter().map(text).collect();
    let table = table();
    assert_eq!(codes, table.keys().cloned().collect(), "as in docs/protocol.md");
    // And that table is held against the sources by `every_code_is_listed`.
    assert!(Code::ALL.iter().all(|code| codes.contains(code.as_str())));
    let mut seen = BTreeSet::new();
    for (path, method, operation) in operations() {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let content = response["content"].get("application/problem+json");
            let examples = content.and_then(|content| content["examples"].as_object());
            for (code, example) in examples.into_iter().flatten() {
                let (of_code, retry, when) = &table[code];
                assert_eq!(status, of_code, "{method} {path}: {code}");
                let yes = example["value"]["retry"] == json!(true);
                assert_eq!(if yes { "yes" } else { "no" }, retry, "{code}");
                let said = text(&response["description"]);
                assert!(said.contains(&format!("`{code}`: {when}")), "{code}: {said}");
                seen.insert(code.clone());
            }
        }
    }
    let only_in_general = ["method_not_allowed".to_owned()];
    let of_http = table.iter().filter(|(_, (status, ..))| !status.is_empty());
    let of_http: BTreeSet<_> = of_http.map(|(code, _)| code.clone()).collect();
    let missing: Vec<_> = of_http.difference(&seen).cloned().collect();
    assert_eq!(missing, only_in_general, "no call is refused with these");
}
