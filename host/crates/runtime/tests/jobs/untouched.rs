//! What a swap leaves alone: the operators around the one whose module goes, in its own chain and in others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gristmill_checkpoint::swap::SwapStage;
use gristmill_dataflow::JobDocument;
use gristmill_ports::catalog::JobState;
use gristmill_ports::module_registry::{Admission, ModuleRegistry, PrepareOptions, Prepared, Refusal};
use gristmill_runtime::{JobSpec, ModuleBytes, prepare};
use gristmill_types::{NodeId, Rows};

use crate::counting::{Outside, count, counted};
use crate::fakes::Native;
use crate::fakes::native::{Process, emitted};
use crate::swapping::{AT_ONCE, NEW, node, over};

/// `before` and `count` are one chain, `behind` takes in through an exchange what comes of them.
const THREE: &str = "
sources: {in: {from: generator, parallelism: 1}}
operators:
  before: {module: before@1, parallelism: 2, inputs: {in: {from: in, key_by: $.k}}}
  count: {module: count@1, parallelism: 2, inputs: {in: {from: before, key_by: key}}}
  behind: {module: behind@1, parallelism: 1, inputs: {in: {from: count}}}
sinks: {out: {inputs: [behind], to: blackhole, parallelism: 1}}
checkpoint: {every: never}
restart: none
";

/// How many events each instance of an operator says it has seen, in the order in which they were opened. An instance
/// knows that from its own memory alone.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Vec<Arc<AtomicU64>>>>);

impl Witness {
    fn instances(&self) -> Vec<u64> {
        self.0.lock().unwrap().iter().map(|said| said.load(Ordering::SeqCst)).collect()
    }

    /// An instance that does this with events, and says how many it has seen.
    fn open(&self, mut act: Process) -> Process {
        let said = Arc::<AtomicU64>::default();
        self.0.lock().unwrap().push(Arc::clone(&said));
        let mut seen = 0;
        Box::new(move |input, events, state| {
            seen += events.len() as u64;
            said.store(seen, Ordering::SeqCst);
            act(input, events, state)
        })
    }

    /// Lets all through.
    fn passing(&self) -> Native {
        let witness = self.clone();
        Native::new(&["in"], &["out"], move |_| Ok(witness.open(Box::new(|_, _, _| Ok(emitted(0, Rows::All))))))
    }

    /// As `count`.
    fn counting(&self) -> Native {
        let witness = self.clone();
        let mut native = Native::new(&["in"], &["out"], move |_| {
            Ok(witness.open(Box::new(|_, events, state| Ok(counted(events, state)))))
        });
        native.descriptor = count().descriptor;
        native
    }
}

/// Finds each module by the name of its operator.
struct ByName(HashMap<String, Prepared>);

impl ModuleRegistry for ByName {
    fn admit(&self, _: &[u8]) -> Result<Admission, Refusal> {
        unimplemented!("the modules are at hand")
    }

    fn prepare(&self, bytes: &[u8], _: &PrepareOptions) -> Result<Prepared, Refusal> {
        Ok(self.0[std::str::from_utf8(bytes).unwrap()].clone())
    }
}

/// The job with this module in `count`.
fn with(native: Native) -> JobSpec {
    let document = JobDocument::parse(&format!("version: 1\njob: test\n{THREE}")).unwrap();
    let others = Witness::default();
    let natives = [("before", others.passing()), ("count", native), ("behind", others.passing())];
    let registry = ByName(natives.into_iter().map(|(name, native)| (name.to_owned(), native.prepared())).collect());
    let bytes = |id: &NodeId| ModuleBytes { hash: NEW, bytes: id.as_str().as_bytes().into() };
    let modules = document.operators.keys().map(|id| (id.clone(), bytes(id))).collect();
    prepare(document, &modules, &registry).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The nodes of each task.
fn tasks(spec: &JobSpec) -> Vec<Vec<&str>> {
    spec.plan.tasks.iter().map(|task| task.nodes.iter().map(|node| node.id.as_str()).collect()).collect()
}

#[test]
fn a_swap_opens_the_one_operator_anew_and_leaves_the_instances_of_all_others_where_they_are() {
    let outside = Outside::new(400);
    let [before, old, new, behind] = <[Witness; 4]>::default();
    let world = outside.world().operator("before", before.passing()).operator("count", old.counting());
    let job = world.operator("behind", behind.passing()).start(THREE);
    // Behind a checkpoint all that was played is through.
    outside.checkpoint_at(&job, 100);
    let sum = |witness: &Witness| witness.instances().iter().sum::<u64>();
    let (around, of_count) = ([before.instances(), behind.instances()], old.instances());
    assert_eq!((around[0].len(), around[1].as_slice(), of_count.len()), (2, &[100][..], 2));
    assert_eq!((sum(&before), sum(&old)), (100, 100));

    let spec = with(new.counting());
    assert_eq!(tasks(&spec), [vec!["in"], vec!["before", "count"], vec!["behind", "out"]]);
    let mut report = job.handle.swap(&node(), &spec, AT_ONCE).unwrap();
    assert_eq!(over(&mut report).stage, SwapStage::Done);
    assert_eq!([before.instances(), behind.instances()], around, "a swap by itself calls nobody");
    assert_eq!((old.instances(), new.instances()), (of_count.clone(), vec![0, 0]));

    outside.tape.play(400);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    // An instance that had been opened anew would have begun at zero, and stand beside the first.
    assert_eq!((before.instances().len(), sum(&before), behind.instances()), (2, 400, vec![400]));
    assert_eq!((old.instances(), new.instances().len(), sum(&new)), (of_count, 2, 300));
    let modules = job.handle.modules();
    let changed: Vec<&str> = modules.iter().filter(|(_, hash)| **hash == NEW).map(|(id, _)| id.as_str()).collect();
    assert_eq!((changed, job.handle.checkpoints().restarts), (vec!["count"], 0));
}
