use proptest::strategy::Strategy as _;

use super::*;

fn member(name: &str, conversion: Conversion) -> Member {
    Member { wire: name.to_owned(), out: name.to_owned(), conversion }
}

fn shape() -> Shape {
    let types = HashMap::from([("00Q".to_owned(), "Lead".to_owned())]);
    Shape::new([
        member("Id", Conversion::Raw),
        member("Name", Conversion::Raw),
        member("Amount", Conversion::Raw),
        member("At", Conversion::Instant),
        member("Tags", Conversion::List(';')),
        member("Big", Conversion::NumberText),
        member("Odd", Conversion::JsonText),
        member("WhoId", Conversion::Raw),
        Member {
            wire: "WhoId".to_owned(),
            out: "WhoId_type".to_owned(),
            conversion: Conversion::Prefix { length: 3, names: Arc::new(types) },
        },
        member(
            "Account",
            Conversion::Nested(Box::new(Shape::new([
                member("Name", Conversion::Raw),
                member("Since", Conversion::Instant),
            ]))),
        ),
    ])
    .with_key(["Id"])
    .with_version("Stamp")
}

/// The page's records, read by either way.
fn all(page: &[u8]) -> Vec<Result<Record, RowError>> {
    let read = read_page(page, "records", &shape()).unwrap().records;
    let cut = cut_page(page, "records").unwrap();
    assert_same(&read, &records(&cut.rows, &shape()));
    read
}

fn assert_same(one: &[Result<Record, RowError>], other: &[Result<Record, RowError>]) {
    let comparable = |records: &[Result<Record, RowError>]| -> Vec<_> {
        records
            .iter()
            .map(|record| match record {
                Ok(record) => Ok((record.key.clone(), record.version.clone(), record.text().to_owned())),
                Err(row) => Err((row.position, row.error.to_string())),
            })
            .collect()
    };
    assert_eq!(comparable(one), comparable(other));
}

fn one(row: &str) -> Result<String, String> {
    let page = format!(r#"{{"records":[{row}]}}"#);
    let mut found = all(page.as_bytes());
    assert_eq!(found.len(), 1);
    found.remove(0).map(|record| record.text().to_owned()).map_err(|row| row.error.to_string())
}

#[test]
fn lists_of_numbers_and_members_that_the_wire_leaves_out_have_their_form() {
    let shape = Shape::new([
        member("Name", Conversion::Raw),
        member("Tags", Conversion::NumberList(',')),
        member("Kind@type", Conversion::OrNull),
        member("Last", Conversion::Raw),
    ])
    .with_key(["Id"])
    .with_version("@odata.etag");
    let read = |row: &str| {
        let page = format!(r#"{{"value":[{row}]}}"#);
        let quick = read_page(page.as_bytes(), "value", &shape).unwrap().records;
        let cut = cut_page(page.as_bytes(), "value").unwrap();
        assert_same(&quick, &records(&cut.rows, &shape));
        quick.into_iter().next().unwrap().map_err(|row| row.error.to_string())
    };
    let row =
        r#"{"@odata.etag":"W/\"12\"","Id":"1","Name":"a","Tags":"1, 100000000,-1","Kind@type":"a","Last":2}"#;
    let record = read(row).unwrap();
    assert_eq!(record.text(), r#"{"Name":"a","Tags":[1,100000000,-1],"Kind@type":"a","Last":2}"#);
    assert_eq!(record.version.as_deref(), Some("W/\"12\""));
    for row in [
        r#"{"Id":"1","Name":"a","Tags":null,"Last":2}"#,
        r#"{"Id":"1","Name":"a","Tags":"","Kind@type":null,"Last":2}"#,
    ] {
        assert_eq!(read(row).unwrap().text(), r#"{"Name":"a","Tags":[],"Kind@type":null,"Last":2}"#);
    }
    assert!(read(r#"{"Id":"1","Tags":"1,x"}"#).unwrap_err().contains("no whole number"));
}

#[test]
fn tokens_are_copied_or_rewritten_and_others_dropped() {
    let row = r#"{"attributes":{"type":"X","url":"/x"},"Id":"1","Name":"a\"b \ud83d\ude00","Amount":1.50,
        "At":"2022-03-17T16:21:26.000+0000","Tags":"A;B \u00e9","Big":9007199254740993,"Odd":{"a":[1]},
        "WhoId":"00Q1","Account":{"attributes":{},"Since":"2022-03-17T16:21:26.000+0530","Name":"P"},
        "Stamp":"v1","Extra":[[]]}"#;
    let found = all(format!(r#"{{"records":[{row}],"done":true}}"#).as_bytes());
    let record = found[0].as_ref().unwrap();
    assert_eq!(
        record.text(),
        concat!(
            r#"{"Id":"1","Name":"a\"b \ud83d\ude00","Amount":1.50,"At":"2022-03-17T16:21:26.000Z","#,
            r#""Tags":["A","B \u00e9"],"Big":"9007199254740993","Odd":"{\"a\":[1]}","WhoId":"00Q1","#,
            r#""WhoId_type":"Lead","Account":{"Name":"P","Since":"2022-03-17T16:21:26.000+05:30"}}"#
        )
    );
    assert_eq!((record.key.clone(), record.version.as_deref()), (Key::text("1"), Some("v1")));
}

#[test]
fn nulls_stay_null_and_an_empty_list_is_a_list() {
    assert_eq!(
        one(r#"{"Id":"1","At":null,"Tags":null,"Big":null,"Odd":null,"WhoId":null,"Account":null}"#).unwrap(),
        r#"{"Id":"1","At":null,"Tags":[],"Big":null,"Odd":null,"WhoId":null,"WhoId_type":null,"Account":null}"#
    );
    assert_eq!(
        one(r#"{"Id":"1","Tags":"","WhoId":"é"}"#).unwrap(),
        r#"{"Id":"1","Tags":[],"WhoId":"é","WhoId_type":null}"#
    );
}

#[test]
fn fault_66_number_text_is_kept() {
    for number in ["1e400", "9223372036854775809", "-0", "0.30000000000000004", "12345678901234567"] {
        assert_eq!(
            one(&format!(r#"{{"Id":"1","Amount":{number}}}"#)).unwrap(),
            format!(r#"{{"Id":"1","Amount":{number}}}"#)
        );
    }
    assert!(one(r#"{"Id":"1","Amount":01}"#).is_err());
}

#[test]
fn fault_64_the_last_of_two_equal_members_counts() {
    assert_eq!(one(r#"{"Id":"1","Name":"a","Na\u006de":"b"}"#).unwrap(), r#"{"Id":"1","Name":"b"}"#);
}

#[test]
fn fault_65_a_row_with_bad_text_takes_its_own_place() {
    let mut page = br#"{"totalSize":3,"done":true,"records":[{"Id":"1"},{"Id":"2","Name":"a"#.to_vec();
    page.extend_from_slice(&[0xff, 0xfe]);
    page.extend_from_slice(br#""},{"Id":"3","Name":"}]\"{"}]}"#);
    let cut = cut_page(&page, "records").unwrap();
    assert_eq!(
        (cut.member::<u64>("totalSize").unwrap(), cut.member::<bool>("done").unwrap()),
        (Some(3), Some(true))
    );
    let found = records(&cut.rows, &shape());
    assert_eq!(found[0].as_ref().unwrap().key, Key::text("1"));
    let bad = found[1].as_ref().unwrap_err();
    assert_eq!(bad.position, 1);
    assert!(bad.error.to_string().contains("UTF-8"), "{}", bad.error);
    assert_eq!(found[2].as_ref().unwrap().key, Key::text("3"));
    for lone in [r"\ud800", r"\udc00", r"\ud800\u0041", r"\ud800x"] {
        let reason = one(&format!(r#"{{"Id":"1","Name":"{lone}"}}"#)).unwrap_err();
        assert!(reason.contains("surrogate"), "{reason}");
    }
    assert!(one("{\"Id\":\"1\",\"Name\":\"a\nb\"}").is_err());
    assert!(one(r#"{"Id":"1","Name":"\\ud800"}"#).is_ok());
}

#[test]
fn fault_63_deep_nesting_spoils_only_its_row() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let page =
        format!(r#"{{"records":[{{"Id":"1","Odd":{deep}}},{{"Id":"2","Extra":{deep}}},{{"Id":"3"}}]}}"#);
    let found = all(page.as_bytes());
    assert!(found[0].as_ref().unwrap_err().error.to_string().contains("nested"));
    assert!(found[1].is_ok() && found[2].is_ok());
}

#[test]
fn a_row_without_a_key_and_one_that_is_no_object_are_errors() {
    assert!(one(r#"{"Name":"x"}"#).unwrap_err().contains("no Id"));
    assert!(one(r#"{"Id":null}"#).is_err());
    assert!(one("7").is_err());
    assert!(one("null").is_err());
}

#[test]
fn a_cut_page_is_refused_wherever_it_is_cut() {
    let page = r#"{"totalSize":2,"done":true,"records":[{"Id":"1","Name":"a]}"},{"Id":"2"}]}"#;
    for end in 0..page.len() {
        assert!(cut_page(&page.as_bytes()[..end], "records").is_err(), "{}", &page[..end]);
    }
    assert!(cut_page(b"{}x", "records").is_err());
    assert!(!cut_page(b"{}", "records").unwrap().has_rows);
    assert!(cut_page(br#"{"records":null}"#, "records").unwrap().rows.is_empty());
}

#[test]
fn the_scanner_cuts_as_the_parser_does() {
    let page = br#" { "a" : [1, {"b":"]"}] , "records" : [ {"Id":"1"} , 2, "x,y" , [[],{}] , true ] , "done":false } "#;
    let fast = cut_page(page, "records").unwrap();
    let scanned = scan_page(page, "records").unwrap();
    assert_eq!(fast.rows, scanned.rows);
    assert_eq!(scanned.member::<bool>("done").unwrap(), Some(false));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::sample::select(br#"{}[]",:\ud8Id1 x"#.to_vec()), 0..60)) {
        let _ = one_pass::read(&bytes, "Id", &shape(), &|_| true);
        if let Ok(page) = cut_page(&bytes, "Id") {
            let _ = records(&page.rows, &shape());
        }
        let _ = scan_page(&bytes, "Id");
    }
}

/// A page of rows as Salesforce sends them.
fn ordinary(rows: usize) -> String {
    let row = |n: usize| {
        format!(
            r#"{{"attributes":{{"type":"X","url":"/x/{n}"}},"Id":"{n}","Name":"Grün & Söhne \"{n}\"","Amount":{n}.50,
"At":"2022-03-17T16:21:26.000+0000","Tags":null,"Big":{n},"WhoId":"00Q{n}",
"Account":{{"attributes":{{"type":"Y"}},"Name":"P","Since":"2022-03-17T16:21:26.000+0000"}},"Stamp":"v{n}"}}"#
        )
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!(r#"{{"totalSize":9,"done":false,"nextRecordsUrl":"/next","records":[{}]}}"#, rows.join(","))
}

#[test]
fn an_ordinary_page_is_read_in_one_pass() {
    let page = ordinary(3);
    let read = one_pass::read(page.as_bytes(), "records", &shape(), &|_| true).expect("one pass is enough");
    let cut = cut_page(page.as_bytes(), "records").unwrap();
    assert_same(&read.records, &records(&cut.rows, &shape()));
    assert!(read.has_rows && read.records.len() == 3);
    assert_eq!(read.member::<String>("nextRecordsUrl").unwrap().as_deref(), Some("/next"));
    assert_eq!(read.member::<u64>("totalSize").unwrap(), Some(9));
    assert_eq!(read.member::<bool>("absent").unwrap(), None);
}

#[test]
fn one_pass_gives_up_wherever_something_is_out_of_the_ordinary() {
    let rows = [
        r#"{"Id":"1","Name":"a","Name":"b"}"#,
        r#"{"Id":"1","Na\u006de":"b"}"#,
        r#"{"Id":"1","Name":"\ud800"}"#,
        r#"{"Id":"1","Name":"\x"}"#,
        r#"{"Id":"1","Amount":01}"#,
        r#"{"Id":"1","Amount":1.}"#,
        r#"{"Id":"1","Amount":1e}"#,
        r#"{"Id":"1","Amount":-}"#,
        r#"{"Id":"1","Amount":+1}"#,
        r#"{"Id":"1","Amount":nul}"#,
        r#"{"Id":"1","Amount":trueish}"#,
        r#"{"Id":"1",}"#,
        r#"{"Id":"1" "Name":"x"}"#,
        r#"{"Id":"1","Extra":[1,]}"#,
        r#"{"Id":"1","Extra":{"a":1,}}"#,
        r#"{"Id":"1","Extra":{"a" 1}}"#,
        r#"{"Id":"1","Account":7}"#,
        r#"{"Id":""}"#,
        r#"{"Name":"x"}"#,
        "{\"Id\":\"1\",\"Name\":\"a\nb\"}",
        "7",
    ];
    for row in rows {
        let page = format!(r#"{{"records":[{row}]}}"#);
        assert!(one_pass::read(page.as_bytes(), "records", &shape(), &|_| true).is_none(), "{row}");
    }
    for page in ["", "[]", "{", r#"{"records":[]}x"#, r#"{"records":[],"records":[]}"#, r#"{"records":7}"#] {
        assert!(one_pass::read(page.as_bytes(), "records", &shape(), &|_| true).is_none(), "{page}");
    }
}

/// A log that a test reads.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(page: &str) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        read_page(page.as_bytes(), "records", &shape()).unwrap();
    });
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn fault_64_a_member_that_stands_twice_is_warned_of_with_its_place() {
    let said = logged(
        r#"{"records":[{"Id":"1","Name":"a"},{"Id":"2","Name":"a","Name":"b"},{"Id":"3","Account":{"Name":"x","Name":"y"}}]}"#,
    );
    // Once for the page, although two of its records have the fault.
    assert_eq!(said.matches("WARN").count(), 1, "{said}");
    assert!(said.contains("stands twice"), "{said}");
    for fact in ["position=1", r#"member="Name""#, "records=2"] {
        assert!(said.contains(fact), "{fact} is not in {said}");
    }
    assert_eq!(logged(r#"{"records":[{"Id":"1","Name":"a"}]}"#), "");
}

fn token() -> impl proptest::strategy::Strategy<Value = String> {
    proptest::sample::select(vec![
        "null",
        "true",
        "1.50",
        "-0",
        "1e400",
        "01",
        "\"a\"",
        "\"\"",
        r#""\ud83d\ude00""#,
        r#""\ud800""#,
        r#""q\"\\""#,
        "\"2022-03-17T16:21:26.000+0000\"",
        "\"2022-03-17T16:21:26.000-0530\"",
        "\"A;B;;C\"",
        "{}",
        "[ ]",
        "{\"Name\" : \"n\",\"Since\":null}",
        "{\"Name\":1,\"Name\":2}",
        "[1,{\"a\":[\"]\"]}\n]",
        "\"0123456789abcdef\u{e9}\"",
        "\"\t\"",
        "tru",
        "",
    ])
    .prop_map(str::to_owned)
}

proptest::proptest! {
    #[test]
    fn both_ways_agree_on_every_page(
        rows in proptest::collection::vec(
            proptest::collection::vec(
                (
                    proptest::sample::select(vec![
                        "Id", "Id", "Id", "Name", "Amount", "At", "Tags", "Big", "Odd", "WhoId", "Account", "Stamp", "attributes",
                    ]),
                    token(),
                    proptest::sample::select(vec!["", " ", "\n"]),
                ),
                0..9,
            ),
            0..4,
        ),
    ) {
        let rows: Vec<String> = rows
            .iter()
            .map(|members| {
                let members: Vec<String> =
                    members.iter().map(|(name, value, space)| format!("\"{name}\":{space}{value}{space}")).collect();
                format!("{{{}}}", members.join(","))
            })
            .collect();
        let page = format!(r#"{{"done":true,"records":[{}]}}"#, rows.join(","));
        if let Some(read) = one_pass::read(page.as_bytes(), "records", &shape(), &|_| true) {
            proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&page).is_ok() || page.contains("1e400"), "{}", page);
            let cut = cut_page(page.as_bytes(), "records").unwrap();
            assert_same(&read.records, &records(&cut.rows, &shape()));
        }
    }

    #[test]
    fn one_pass_never_takes_what_is_no_json(at in 0_usize..600, byte in proptest::num::u8::ANY) {
        let mut page = ordinary(2).into_bytes();
        let at = at % page.len();
        page[at] = byte;
        if let Some(read) = one_pass::read(&page, "records", &shape(), &|_| true) {
            proptest::prop_assert!(serde_json::from_slice::<serde_json::Value>(&page).is_ok());
            let cut = cut_page(&page, "records").unwrap();
            assert_same(&read.records, &records(&cut.rows, &shape()));
        }
    }
}

/// A row whose values stand in an object of it, each in an object of its own.
fn deep() -> Shape {
    fn first_letter(raw: &str) -> Result<String, String> {
        let text: String = serde_json::from_str(raw).map_err(|reason| reason.to_string())?;
        Ok(text.chars().take(1).collect())
    }
    let way = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let from =
        |wire: &str, out: &str, conversion| Member { wire: wire.to_owned(), out: out.to_owned(), conversion };
    let inner = Shape::new([
        member("plain", Conversion::Raw),
        from("place", "place", Conversion::Pluck(way(&["id"]))),
        from("place", "place_child", Conversion::Pluck(way(&["child", "id"]))),
        member("many", Conversion::PluckEach(way(&["id"]))),
        member("tags", Conversion::ListOrEmpty),
        member("any", Conversion::AnyText),
        member("letter", Conversion::Text(first_letter)),
    ]);
    Shape::new([member("id", Conversion::Raw)])
        .with_key(["id"])
        .complete()
        .with_inside("fields", inner.complete())
}

/// The only row of a page, read by both ways.
fn flat(row: &str) -> serde_json::Value {
    let page = format!(r#"{{"rows":[{row}]}}"#);
    let read = read_page(page.as_bytes(), "rows", &deep()).unwrap().records;
    let cut = cut_page(page.as_bytes(), "rows").unwrap();
    assert_same(&read, &records(&cut.rows, &deep()));
    serde_json::from_slice(&read[0].as_ref().unwrap().json).unwrap()
}

#[test]
fn members_are_taken_out_of_objects_and_absent_ones_are_null() {
    let full = r#"{"self":"x","id":"7","fields":{"place":{"self":"y","id":"1","child":{"id":"2"}},"plain":1.50,
        "many":[{"id":"a"},{"name":"no id"},{"name":"b","id":3}],"tags":["t"],"any":{"k":[1]},"letter":"xyz","more":[{}]}}"#;
    assert_eq!(
        flat(full),
        serde_json::json!({
            "id": "7", "plain": 1.5, "place": "1", "place_child": "2", "many": ["a", 3], "tags": ["t"],
            "any": "{\"k\":[1]}", "letter": "x",
        })
    );
    let empty = serde_json::json!({
        "id": "7", "plain": null, "place": null, "place_child": null, "many": [], "tags": [], "any": null, "letter": null,
    });
    let nulls =
        r#"{"id":"7","fields":{"plain":null,"place":null,"many":null,"tags":null,"any":null,"letter":null}}"#;
    for row in [r#"{"id":"7"}"#, r#"{"id":"7","fields":{}}"#, r#"{"fields":null,"id":"7"}"#, nulls] {
        assert_eq!(flat(row), empty, "{row}");
    }
    let odd = r#"{"id":"7","fields":{"place":"text","many":[],"any":"text","plain":{"id":"kept"}}}"#;
    assert_eq!(flat(odd)["place"], "text");
    assert_eq!(flat(odd)["plain"]["id"], "kept");
    let escaped = r#"{"id":"7","fields":{"place":{"\u0069d":"1"}}}"#;
    assert_eq!(flat(escaped)["place"], "1");
    let digits = r#"{"id":"7","fields":{"plain":123456789012345678901.50}}"#;
    let page = format!(r#"{{"rows":[{digits}]}}"#);
    let read = read_page(page.as_bytes(), "rows", &deep()).unwrap().records;
    assert!(read[0].as_ref().unwrap().text().contains(r#""plain":123456789012345678901.50,"#));
}

#[test]
fn a_value_that_no_text_can_be_made_of_spoils_its_row_alone() {
    let page = br#"{"rows":[{"id":"1","fields":{"letter":5}},{"id":"2","fields":{"letter":"q"}}]}"#;
    let read = read_page(page, "rows", &deep()).unwrap().records;
    assert!(read[0].as_ref().unwrap_err().error.message().contains("letter"));
    assert_eq!(read[1].as_ref().unwrap().key.to_string(), "2");
}
