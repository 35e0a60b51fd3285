//! What the catalog promises about modules, jobs, operations and answers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gristmill_catalog::FileCatalog;
use gristmill_ports::catalog::{
    Catalog, JobRecord, JobState, OperationRecord, OperationStatus, PutModule, RememberedAnswer,
};
use gristmill_ports::clock::ManualClock;
use gristmill_ports::module_registry::{Admission, CacheUse, ModuleForm};
use gristmill_ports::{Clock, PortError};
use gristmill_types::{Descriptor, ModuleHash, ModuleName};
use serde_json::json;

fn open(dir: &Path) -> Result<FileCatalog, PortError> {
    FileCatalog::open(dir, Arc::new(ManualClock::default()))
}

fn name(text: &str) -> ModuleName {
    text.parse().unwrap()
}

fn admission(bytes: &[u8]) -> Admission {
    Admission {
        hash: ModuleHash(*blake3::hash(bytes).as_bytes()),
        form: ModuleForm::Component,
        size_bytes: bytes.len() as u64,
        cache: CacheUse::Miss,
        compile_ms: 12,
        exports: vec!["gristmill:operator/processor@0.1.0".to_owned()],
        imports: Vec::new(),
        descriptor: Descriptor { annotations: vec![("a".to_owned(), "b".to_owned())], ..Descriptor::default() },
        warnings: Vec::new(),
    }
}

fn put(catalog: &FileCatalog, name_text: &str, bytes: &[u8]) -> PutModule {
    catalog.put_module(Some(&name(name_text)), bytes, &admission(bytes)).unwrap()
}

fn job(id: &str) -> JobRecord {
    JobRecord {
        id: id.parse().unwrap(),
        document: json!({"version": 1, "sources": {"a": [1.5, null, "x"]}}),
        modules: vec![("parse".to_owned(), ModuleHash([7; 32]))],
        state: JobState::Running,
        cause: None,
        created_ms: 1,
        changed_ms: 2,
        final_report: Some(json!({"parse": {"in": 3}})),
        accepted: None,
        run: Some(gristmill_types::RunId(u64::MAX)),
        newest: None,
        base: Some("/srv/jobs".to_owned()),
        origin: None,
        swap: None,
        pending: None,
    }
}

fn operation(number: i64) -> OperationRecord {
    OperationRecord {
        id: format!("op-{number}"),
        kind: "stop-job".to_owned(),
        job: Some("a".parse().unwrap()),
        status: OperationStatus::Running,
        detail: json!({"number": number}),
        created_ms: number,
        changed_ms: number,
    }
}

fn answer(at_ms: i64) -> RememberedAnswer {
    RememberedAnswer { request_hash: [1; 32], status: 201, body: "{}".to_owned(), at_ms }
}

fn module_files(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir.join("modules")).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    put(&catalog, "m@1", b"one");
    catalog.put_job(&job("a")).unwrap();
    catalog.put_operation(&operation(1)).unwrap();
    let now = catalog.modules().unwrap()[0].created_ms;
    catalog.remember_answer("key", &answer(now)).unwrap();
    drop(catalog);

    let catalog = open(dir.path()).unwrap();
    let hash = catalog.resolve(&name("m@1")).unwrap().unwrap();
    assert_eq!(catalog.module_bytes(hash).unwrap().as_deref(), Some(&b"one"[..]));
    let module = catalog.module(hash).unwrap().unwrap();
    assert_eq!((module.names, module.admission), (vec![name("m@1")], admission(b"one")));
    assert_eq!(catalog.jobs().unwrap(), [job("a")]);
    assert_eq!(catalog.operation("op-1").unwrap(), Some(operation(1)));
    assert_eq!(catalog.answer("key").unwrap(), Some(answer(now)));
}

#[test]
fn a_name_stays_with_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    assert_eq!(put(&catalog, "m@1", b"one"), PutModule::Created);
    assert_eq!(put(&catalog, "m@1", b"one"), PutModule::Unchanged);
    assert_eq!(put(&catalog, "other@1", b"one"), PutModule::Named);
    assert_eq!(put(&catalog, "m@1", b"two"), PutModule::NameTaken(admission(b"one").hash));
    assert_eq!(catalog.put_module(None, b"one", &admission(b"one")).unwrap(), PutModule::Unchanged);
    assert_eq!(catalog.modules().unwrap().len(), 1, "what was refused left nothing");
    assert_eq!(module_files(dir.path()).len(), 1);
}

#[test]
fn a_deleted_module_gives_back_names_and_room() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    put(&catalog, "m@1", b"one");
    let hash = admission(b"one").hash;
    assert!(catalog.delete_module(hash).unwrap());
    assert!(!catalog.delete_module(hash).unwrap());
    assert_eq!((catalog.resolve(&name("m@1")).unwrap(), catalog.module_bytes(hash).unwrap()), (None, None));
    assert!(module_files(dir.path()).is_empty());
    assert_eq!(put(&catalog, "m@1", b"two"), PutModule::Created);
}

#[test]
fn a_module_goes_with_the_last_of_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    put(&catalog, "m@1", b"one");
    put(&catalog, "other@1", b"one");
    put(&catalog, "m@2", b"two");
    let hash = admission(b"one").hash;
    assert!(!catalog.delete_name(&name("m@1")).unwrap());
    assert!(!catalog.delete_name(&name("m@1")).unwrap(), "an unknown name changes nothing");
    assert_eq!(catalog.resolve(&name("m@1")).unwrap(), None);
    assert_eq!(catalog.module(hash).unwrap().unwrap().names, [name("other@1")]);
    assert!(catalog.delete_name(&name("other@1")).unwrap());
    assert_eq!((catalog.module(hash).unwrap(), catalog.module_bytes(hash).unwrap()), (None, None));
    assert_eq!(catalog.modules().unwrap().len(), 1, "others stay");
}

#[test]
fn modules_are_listed_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let catalog = FileCatalog::open(dir.path(), Arc::<ManualClock>::clone(&clock)).unwrap();
    for version in ["m@1", "m@2", "m@3"] {
        clock.advance(Duration::from_millis(5));
        put(&catalog, version, version.as_bytes());
    }
    let modules = catalog.modules().unwrap();
    let listed: Vec<_> = modules.into_iter().map(|module| (module.names[0].to_string(), module.created_ms)).collect();
    assert_eq!(listed, [("m@3".to_owned(), 15), ("m@2".to_owned(), 10), ("m@1".to_owned(), 5)]);
}

#[test]
fn damaged_module_bytes_are_not_handed_out_and_an_upload_heals_them() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    put(&catalog, "m@1", b"one");
    let hash = admission(b"one").hash;
    fs::write(dir.path().join(format!("modules/{hash}.wasm")), b"on").unwrap();
    let refusal = catalog.module_bytes(hash).unwrap_err().message;
    assert!(refusal.ends_with("its bytes are not those of its name; upload the module again"), "{refusal}");
    assert_eq!(put(&catalog, "m@1", b"one"), PutModule::Unchanged);
    assert_eq!(catalog.module_bytes(hash).unwrap().as_deref(), Some(&b"one"[..]));
}

#[test]
fn what_a_crash_left_of_an_upload_is_swept_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path()).unwrap(), "m@1", b"one");
    fs::write(dir.path().join("modules/.incoming-x1"), b"half").unwrap();
    fs::write(dir.path().join(format!("modules/{}.wasm", ModuleHash([9; 32]))), b"no record").unwrap();
    let catalog = open(dir.path()).unwrap();
    assert_eq!(module_files(dir.path()), [format!("{}.wasm", admission(b"one").hash)]);
    assert!(catalog.module_bytes(admission(b"one").hash).unwrap().is_some());
}

#[test]
fn jobs_are_written_over_listed_by_id_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    for id in ["b", "a", "c"] {
        catalog.put_job(&job(id)).unwrap();
    }
    let ended = JobRecord { state: JobState::Failed, cause: Some("why".to_owned()), ..job("a") };
    catalog.put_job(&ended).unwrap();
    assert_eq!(catalog.jobs().unwrap(), [ended.clone(), job("b"), job("c")]);
    assert_eq!(catalog.job(&ended.id).unwrap(), Some(ended.clone()));
    assert!(catalog.delete_job(&ended.id).unwrap() && !catalog.delete_job(&ended.id).unwrap());
    assert_eq!(catalog.job(&ended.id).unwrap(), None);
}

#[test]
fn the_newest_thousand_operations_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    let done = |number| OperationRecord { status: OperationStatus::Succeeded, ..operation(number) };
    catalog.put_operation(&operation(0)).unwrap();
    (1..1002).for_each(|number| catalog.put_operation(&done(number)).unwrap());
    catalog.put_operation(&operation(1002)).unwrap();
    catalog.put_operation(&done(1002)).unwrap();
    assert_eq!(catalog.operations(2).unwrap(), [done(1002), done(1001)]);
    assert_eq!(catalog.operations(5000).unwrap().len(), 1000);
    assert_eq!(catalog.operation("op-0").unwrap(), Some(operation(0)), "it runs");
    assert_eq!(catalog.operation("op-3").unwrap(), None);
    assert_eq!(catalog.operation("op-4").unwrap(), Some(done(4)));
}

#[test]
fn an_answer_is_remembered_for_a_day() {
    const DAY: Duration = Duration::from_hours(24);
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    clock.advance(DAY * 365);
    let catalog = FileCatalog::open(dir.path(), Arc::<ManualClock>::clone(&clock)).unwrap();
    let first = answer(clock.now_ms());
    assert_eq!(catalog.remember_answer("key", &first).unwrap(), None);
    clock.advance(DAY - Duration::from_millis(1));
    let second = answer(clock.now_ms());
    assert_eq!(catalog.remember_answer("key", &second).unwrap(), Some(first.clone()), "the first stands");
    assert_eq!(catalog.answer("key").unwrap(), Some(first));
    clock.advance(Duration::from_millis(1));
    assert_eq!(catalog.answer("key").unwrap(), None);
    let third = answer(clock.now_ms());
    assert_eq!(catalog.remember_answer("key", &third).unwrap(), None);
    assert_eq!(catalog.answer("key").unwrap(), Some(third));
}

#[test]
fn a_damaged_catalog_is_a_sentence_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    fs::write(dir.path().join("catalog.redb"), b"this is no database").unwrap();
    let refusal = open(dir.path()).err().unwrap().message;
    assert!(refusal.starts_with("cannot open the catalog `"), "{refusal}");
    assert!(refusal.contains("put a copy of the data directory back, or move the file away"), "{refusal}");
}
