//! Writes guests: a core module in the text format, with component types, whose results lie ready in its memory.

use std::path::Path;

use wit_component::StringEncoding;
use wit_parser::Resolve;

/// Where the image begins in the guest's memory; what it allocates comes after `HEAP`.
const BASE: u32 = 1024;
const HEAP: u32 = 1 << 20;

/// Results, laid out as the canonical ABI wants them.
#[derive(Default)]
pub(crate) struct Image(Vec<u8>);

impl Image {
    /// Puts bytes into the image, aligned to eight, and tells where they are.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> u32 {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let at = BASE + self.0.len() as u32;
        self.0.extend_from_slice(bytes);
        at
    }

    /// The two words of a list of words, or of its address and length.
    pub(crate) fn words(&mut self, words: &[u32]) -> [u32; 2] {
        [self.put(&le(words)), words.len() as u32]
    }

    /// The two words of a list of bytes or of a string.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> [u32; 2] {
        [self.put(bytes), bytes.len() as u32]
    }

    /// The six words of a column.
    pub(crate) fn column(&mut self, ends: &[u32], data: &[u8], nulls: &[u32]) -> Vec<u32> {
        [self.words(ends), self.bytes(data), self.words(nulls)].concat()
    }

    /// The address of `ok(outcome)`.
    pub(crate) fn outcome(&mut self, emissions: &[(u32, Out)], rejections: &[(u32, &str)]) -> u32 {
        let emitted: Vec<u32> = emissions.iter().flat_map(|(port, rows)| self.emission(*port, rows)).collect();
        let rejected: Vec<u32> = rejections
            .iter()
            .flat_map(|(row, reason)| [&[*row], &self.bytes(reason.as_bytes())[..]].concat())
            .collect();
        let (emitted, rejected) = (self.put(&le(&emitted)), self.put(&le(&rejected)));
        self.put(&le(&[0, emitted, emissions.len() as u32, rejected, rejections.len() as u32]))
    }

    /// The address of `ok(entries)`, where columns are ends, data and nulls.
    pub(crate) fn entries(&mut self, keys: Raw<'_>, owners: &[u32], map_keys: Raw<'_>, values: Raw<'_>) -> u32 {
        let column = |image: &mut Self, (ends, data, nulls): Raw<'_>| image.column(ends, data, nulls);
        let keys = column(self, keys);
        let owners = self.words(owners);
        let (map_keys, values) = (column(self, map_keys), column(self, values));
        self.put(&le(&[&[0], &keys[..], &owners, &map_keys, &values].concat()))
    }

    /// The address of `err(failure)`: 0 bad record, 1 transient, 2 fatal.
    pub(crate) fn failure(&mut self, kind: u32, message: &str) -> u32 {
        let [at, length] = self.bytes(message.as_bytes());
        self.put(&le(&[1, kind, at, length, 0]))
    }

    fn emission(&mut self, port: u32, rows: &Out) -> Vec<u32> {
        let mut words = vec![port];
        match rows {
            Out::All => words.push(0),
            Out::Selected(rows) => words.extend([&[1], &self.words(rows)[..]].concat()),
            Out::Mapped(rows, ends, data, nulls) => {
                words.extend([&[2], &self.words(rows)[..], &self.column(ends, data, nulls)[..]].concat());
            }
            Out::Created(timestamps, keys, values) => {
                let bytes: Vec<u8> = timestamps.iter().flat_map(|time| time.to_le_bytes()).collect();
                let (keys, values) = (self.of_values(keys), self.of_values(values));
                words.extend([&[3, self.put(&bytes), timestamps.len() as u32], &keys[..], &values[..]].concat());
            }
        }
        words.resize(16, 0);
        words
    }

    fn of_values(&mut self, values: &[Option<&str>]) -> Vec<u32> {
        let column: gristmill_types::Column = values.iter().map(|value| value.map(str::as_bytes)).collect();
        self.column(column.ends(), column.data(), column.nulls())
    }
}

/// Ends, data and nulls of a column.
pub(crate) type Raw<'a> = (&'a [u32], &'a [u8], &'a [u32]);

/// Events that a guest emits.
pub(crate) enum Out<'a> {
    All,
    Selected(&'a [u32]),
    /// Rows; ends, data and nulls of the values.
    Mapped(&'a [u32], &'a [u32], &'a [u8], &'a [u32]),
    /// Timestamps, keys, values.
    Created(&'a [i64], &'a [Option<&'a str>], &'a [Option<&'a str>]),
}

/// What a guest says of itself. Kinds of states are the contract's numbers.
#[derive(Clone)]
pub(crate) struct Said<'a> {
    pub(crate) inputs: &'a [&'a str],
    /// Name, and whether the key is kept.
    pub(crate) outputs: &'a [(&'a str, bool)],
    /// Name, kind, scope.
    pub(crate) states: &'a [(&'a str, u8, u8)],
    pub(crate) timers: &'a [&'a str],
    pub(crate) metrics: &'a [&'a str],
    pub(crate) schema: &'a str,
    pub(crate) capabilities: &'a [&'a str],
}

/// One keyed input, one output that keeps the key, one value state, one metric.
pub(crate) const HONEST: Said<'static> = Said {
    inputs: &["in"],
    outputs: &[("out", true)],
    states: &[("count", 0, 0)],
    timers: &[],
    metrics: &["seen"],
    schema: "",
    capabilities: &[],
};

impl Said<'_> {
    fn lay_out(&self, image: &mut Image) -> u32 {
        let named = |image: &mut Image, names: &[(&str, u32)]| {
            let words: Vec<u32> =
                names.iter().flat_map(|(name, flag)| [&image.bytes(name.as_bytes())[..], &[*flag]].concat()).collect();
            [image.put(&le(&words)), names.len() as u32]
        };
        let inputs: Vec<_> = self.inputs.iter().map(|name| (*name, 1)).collect();
        let outputs: Vec<_> = self.outputs.iter().map(|(name, keeps)| (*name, u32::from(*keeps))).collect();
        let timers: Vec<_> = self.timers.iter().map(|name| (*name, 0)).collect();
        let strings = |image: &mut Image, names: &[&str]| {
            let words: Vec<u32> = names.iter().flat_map(|name| image.bytes(name.as_bytes())).collect();
            [image.put(&le(&words)), names.len() as u32]
        };
        let states: Vec<u32> = self
            .states
            .iter()
            .flat_map(|(name, kind, scope)| {
                let kind_and_scope = u32::from(*kind) | u32::from(*scope) << 8;
                [&image.bytes(name.as_bytes())[..], &[kind_and_scope, 1, 0, 0, 0, 0, 0, 0]].concat()
            })
            .collect();
        let lists = [
            named(image, &inputs),
            named(image, &outputs),
            [image.put(&le(&states)), self.states.len() as u32],
            named(image, &timers),
            strings(image, self.metrics),
            image.bytes(self.schema.as_bytes()),
            strings(image, self.capabilities),
            [0, 0],
        ];
        image.put(&le(lists.as_flattened()))
    }
}

/// A guest being written. Bodies are instructions that leave the address of a result.
pub(crate) struct Guest {
    pub(crate) image: Image,
    descriptor: u32,
    exports: &'static str,
    functions: String,
    imports: &'static str,
}

impl Guest {
    /// A guest that describes itself and opens; `process` is to be added.
    pub(crate) fn new(said: &Said<'_>) -> Self {
        let mut image = Image::default();
        let descriptor = said.lay_out(&mut image);
        let opened = image.put(&[0; 16]);
        let guest = Self { image, descriptor, exports: "guest processor", functions: String::new(), imports: "" };
        guest.describe(&format!("(i32.const {descriptor})")).open(&format!("(i32.const {opened})"))
    }

    /// A guest that handles one event at a time, and describes nothing. `event` is the local `$event`'s address.
    pub(crate) fn of_events() -> Self {
        Self { image: Image::default(), descriptor: 0, exports: "event-handler", functions: String::new(), imports: "" }
    }

    /// Functions that the core module imports beside those of the contract, such as those of wasip1.
    pub(crate) fn importing(mut self, imports: &'static str) -> Self {
        self.imports = imports;
        self
    }

    /// The instruction that leaves the address of what it says of itself.
    pub(crate) fn descriptor(&self) -> String {
        format!("(i32.const {})", self.descriptor)
    }

    pub(crate) fn describe(self, body: &str) -> Self {
        self.function("guest@0.1.0#describe", "describe", "(result i32)", body)
    }

    pub(crate) fn open(self, body: &str) -> Self {
        let parameters = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)";
        self.function("guest@0.1.0#open", "open", parameters, body)
    }

    pub(crate) fn process(self, body: &str) -> Self {
        self.function("processor@0.1.0#process", "process", "(param $events i32) (result i32)", body)
    }

    /// What is called once the host has read the result of `process`.
    pub(crate) fn post_return(mut self, body: &str) -> Self {
        self.functions +=
            &format!("(func (export \"cabi_post_gristmill:operator/processor@0.1.0#process\") (param i32) {body})\n");
        self
    }

    /// Makes it one that also takes due timers.
    pub(crate) fn on_timer(mut self, body: &str) -> Self {
        self.exports = "guest processor timer-handler";
        let parameters = "(param i64 i64 i64 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)";
        self.function("timer-handler@0.1.0#on-timer", "on-timer", parameters, body)
    }

    pub(crate) fn on_event(self, body: &str) -> Self {
        let parameters = "(param $time i64) (param $keyed i32) (param $key i32) (param $key-length i32) \
                          (param $valued i32) (param $value i32) (param $length i32) (result i32)";
        self.function("event-handler@0.1.0#on-event", "on-event", parameters, body)
    }

    /// Makes it one that also rewrites entries. Where its arguments lie: the state's name at 0, the version and the kind
    /// that they come from at 8 and 12, the version that they are to have at 16, the page at 20.
    pub(crate) fn migrate(mut self, body: &str) -> Self {
        self.exports = "guest processor migration";
        self.function("migration@0.1.0#migrate", "migrate", "(param $asked i32) (result i32)", body)
    }

    /// Adds a function; a later one of the same name takes the place of the earlier.
    fn function(mut self, export: &str, name: &str, signature: &str, body: &str) -> Self {
        let begin = format!("(func ${name} ");
        if let Some(at) = self.functions.find(&begin) {
            let end = at + self.functions[at..].find('\n').expect("functions end a line");
            self.functions.replace_range(at..end, "");
        }
        let body = body.replace('\n', " ");
        self.functions += &format!("{begin}(export \"gristmill:operator/{export}\") {signature} {body})\n");
        self
    }

    /// The bytes of the core module, with its component types.
    pub(crate) fn build(self) -> Vec<u8> {
        let data: String = self.image.0.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let text = format!(
            "(module {IMPORTS} {} {MEMORY} (data (i32.const {BASE}) \"{data}\") {})",
            self.imports, self.functions
        );
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{}", self.functions));
        embed_types(&mut module, self.exports);
        module
    }
}

/// Writes component types into a core module, as wit-bindgen does.
fn embed_types(module: &mut Vec<u8>, exports: &str) {
    let exports: String = exports.split(' ').map(|name| format!("export gristmill:operator/{name}@0.1.0;")).collect();
    let imports: String = ["log", "metrics", "state", "event-state"]
        .iter()
        .map(|name| format!("import gristmill:operator/{name}@0.1.0;"))
        .collect();
    let mut resolve = Resolve::default();
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../wit/operator.wit");
    let contract = std::fs::read_to_string(contract).expect("the contract");
    resolve.push_str("operator.wit", &contract).expect("the contract parses");
    let world = format!("package test:guest; world guest {{ {imports} {exports} }}");
    let package = resolve.push_str("guest.wit", &world).expect("the world parses");
    let world = resolve.select_world(&[package], Some("guest")).expect("there is one world");
    wit_component::embed_component_metadata(module, &resolve, world, StringEncoding::UTF8, false).expect("embeds");
}

/// Words as bytes.
pub(crate) fn le(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

const IMPORTS: &str = r#"
    (import "gristmill:operator/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))
    (import "gristmill:operator/metrics@0.1.0" "add" (func $add (param i32 i64)))
    (import "gristmill:operator/metrics@0.1.0" "observe" (func $observe (param i32 f64)))
    (import "gristmill:operator/state@0.1.0" "get" (func $get (param i32 i32 i32 i32)))
    (import "gristmill:operator/state@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "gristmill:operator/event-state@0.1.0" "get" (func $event-get (param i32)))
    (import "gristmill:operator/event-state@0.1.0" "put" (func $event-put (param i32 i32)))
    (import "gristmill:operator/event-state@0.1.0" "delete" (func $event-delete))
"#;

/// A memory, and an allocator that gives one block after the other and grows.
const MEMORY: &str = r#"
    (memory (export "memory") 17)
    (global $next (mut i32) (i32.const 1048576))
    (func $allocate (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
        (global.set $next (i32.add (local.get $at) (local.get 3)))
        (block $enough
            (br_if $enough (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
            (br_if $enough (i32.ne (i32.const -1) (memory.grow
                (i32.add (i32.const 1) (i32.div_u (local.get 3) (i32.const 65536))))))
            unreachable)
        (local.get $at))
"#;

const _: () = assert!(HEAP == 1_048_576, "the text above says the same");
