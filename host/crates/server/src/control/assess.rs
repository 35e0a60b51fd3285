//! From the text of a job document to everything that starting it needs, or to all that is wrong with it.
//!
//! Two steps: reading (cheap, finds the modules) and preparing (compiles). Between them a submission takes its name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gristmill_checkpoint::fit::NodeFit;
use gristmill_dataflow::document::{ModuleSource, OperatorSpec};
use gristmill_dataflow::{
    JobDocument, JobPlan, Problem as DocumentProblem, Severity, canonical_json, environment, nearest, place,
};
use gristmill_ports::catalog::{Catalog, JobRecord, ModuleRecord};
use gristmill_ports::module_registry::ModuleRegistry;
use gristmill_ports::{PortError, Veil};
use gristmill_runtime::{JobSpec, MigrationTried, ModuleBytes, OperatorParts};
use gristmill_types::{JobId, ModuleHash, NodeId, Parallelism};
use serde_json::Value;

use super::modules::known_names;
use super::secrets::{Secrets, put_back};
use super::{ControlError, Thing};

/// What the host thinks of a job document.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The job's name, if the text is a document at all.
    pub job: Option<JobId>,
    /// Errors and warnings, in the order of the text.
    pub problems: Vec<DocumentProblem>,
    /// How it would run, if it can.
    pub plan: Option<JobPlan>,
    /// Its operators, as far as they are known.
    pub operators: Vec<OperatorAssessment>,
    /// What becomes of the savepoint that it begins from, if it does.
    pub savepoint: Option<Vec<NodeFit>>,
    /// What became of a try of `migrate` on all that would have to be rewritten of it, by operator; nothing of a start.
    pub migration: BTreeMap<NodeId, MigrationTried>,
}

impl Assessment {
    /// Whether the job can run.
    #[must_use]
    pub fn can_run(&self) -> bool {
        self.plan.is_some() && !self.problems.iter().any(DocumentProblem::is_error)
    }

    pub(super) fn refusal(problems: Vec<DocumentProblem>) -> Self {
        Self { job: None, problems, plan: None, operators: Vec::new(), savepoint: None, migration: BTreeMap::new() }
    }
}

/// What the host makes of one operator.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorAssessment {
    /// The operator.
    pub operator: NodeId,
    /// Its module, as the document names it.
    pub module: String,
    /// The bytes behind that name; they stay the operator's for the life of the job.
    pub hash: ModuleHash,
    /// Its parameters with the schema's defaults filled in and placeholders left in place.
    pub parameters: Value,
}

/// A document that is sound as far as it was read, and the modules that it names.
pub(super) struct ReadJob {
    pub(super) document: JobDocument,
    /// Warnings so far.
    pub(super) problems: Vec<DocumentProblem>,
    modules: HashMap<NodeId, ModuleRecord>,
    text: String,
}

/// A job that can start.
pub(super) struct PreparedJob {
    /// Placeholders in place.
    pub(super) document: JobDocument,
    /// Placeholders resolved.
    pub(super) spec: JobSpec,
    pub(super) secrets: Arc<Secrets>,
    pub(super) assessment: Assessment,
}

impl ReadJob {
    /// Reads a document and looks up its modules.
    pub(super) fn read(text: String, catalog: &dyn Catalog) -> Result<Self, ControlError> {
        let document = JobDocument::parse(&text).map_err(|error| {
            ControlError::BadDocument(vec![DocumentProblem {
                severity: Severity::Error,
                at: String::new(),
                line: Some(error.line),
                column: Some(error.column),
                message: error.message,
                hint: error.hint,
            }])
        })?;
        let mut problems = gristmill_dataflow::validate_offline(&document);
        let mut modules = HashMap::new();
        for (id, spec) in &document.operators {
            match find_module(id, spec, catalog)? {
                Ok(module) => drop(modules.insert(id.clone(), module)),
                Err(problem) => problems.push(problem),
            }
        }
        let problems = in_order(problems, &text)?;
        Ok(Self { document, problems, modules, text })
    }

    /// The document of a job of the catalog, with the modules that it ran, whatever their names stand for by now.
    pub(super) fn of_record(record: &JobRecord, catalog: &dyn Catalog) -> Result<Self, ControlError> {
        let cannot = |message| ControlError::CannotStart { job: record.id.clone(), message };
        let document: JobDocument = serde_json::from_value(record.document.clone())
            .map_err(|error| cannot(format!("its document in the catalog cannot be read: {error}")))?;
        let mut modules = HashMap::new();
        for (id, hash) in &record.modules {
            let module = catalog.module(*hash)?;
            let module =
                module.ok_or_else(|| cannot(format!("module {hash} of operator `{id}` is gone; push it again")))?;
            let id = id.parse().map_err(|_| cannot(format!("`{id}` is no operator")))?;
            modules.insert(id, module);
        }
        let text = record.document.to_string();
        Ok(Self { document, problems: Vec::new(), modules, text })
    }

    /// What a change makes of the document of a job of the catalog, with the modules that the job ran.
    pub(super) fn rewritten(
        record: &JobRecord,
        catalog: &dyn Catalog,
        change: impl FnOnce(&JobDocument) -> Result<JobDocument, ControlError>,
    ) -> Result<Self, ControlError> {
        let mut read = Self::of_record(record, catalog)?;
        read.document = change(&read.document)?;
        // Whoever asked for the change wrote no text in which a problem could have its place.
        read.text = String::new();
        read.problems = in_order(gristmill_dataflow::validate_offline(&read.document), &read.text)?;
        Ok(read)
    }

    /// The document of a job of the catalog with another module in one operator, and perhaps other parameters and another
    /// parallelism.
    pub(super) fn with_module(
        record: &JobRecord,
        operator: &NodeId,
        module: &str,
        (parameters, parallelism): (Option<Value>, Option<Parallelism>),
        catalog: &dyn Catalog,
    ) -> Result<Self, ControlError> {
        let mut read = Self::of_record(record, catalog)?;
        let known: Vec<String> = read.document.operators.keys().map(ToString::to_string).collect();
        let missing =
            || ControlError::missing_in(&record.id, Thing::Node, operator.as_str(), known.iter().map(String::as_str));
        let spec = read.document.operators.get_mut(operator).ok_or_else(missing)?;
        spec.module = ModuleSource::try_from(module.to_owned()).map_err(ControlError::BadName)?;
        if parameters.is_some() {
            spec.parameters = parameters;
        }
        spec.parallelism = parallelism.or(spec.parallelism);
        let found = find_module(operator, spec, catalog)?;
        // As for any change: nobody wrote a text in which a problem could have its place.
        read.text = String::new();
        let found = found.map_err(|problem| refuse(vec![problem], &read.text))?;
        read.modules.insert(operator.clone(), found);
        read.problems = in_order(gristmill_dataflow::validate_offline(&read.document), &read.text)?;
        Ok(read)
    }

    /// The modules that the job is about to use.
    pub(super) fn modules(&self) -> Vec<ModuleHash> {
        self.modules.values().map(|module| module.admission.hash).collect()
    }

    /// Plans the job and prepares its operators. Blocks for as long as compiling takes.
    pub(super) fn prepare(
        self,
        catalog: &dyn Catalog,
        registry: &dyn ModuleRegistry,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<PreparedJob, ControlError> {
        self.prepare_noting(Arc::new(Secrets::default()), catalog, registry, lookup)
    }

    /// The same; what placeholders stand for joins these secrets.
    pub(super) fn prepare_noting(
        self,
        secrets: Arc<Secrets>,
        catalog: &dyn Catalog,
        registry: &dyn ModuleRegistry,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<PreparedJob, ControlError> {
        let Self { document, problems, modules, text } = self;
        let noted = |name: &str| lookup(name).inspect(|value| secrets.note(name, value));
        let resolved = environment::resolve(&document, noted).map_err(|found| refuse(found, &text))?;
        let mut bytes = HashMap::new();
        for (id, module) in &modules {
            bytes.insert(id.clone(), module_bytes(&document.job, module, catalog)?);
        }
        let mut spec = gristmill_runtime::prepare(resolved, &bytes, registry).map_err(|found| {
            // A complaint about parameters may quote them.
            let hidden = |problem: DocumentProblem| DocumentProblem {
                message: secrets.hide(&problem.message),
                hint: problem.hint.map(|hint| secrets.hide(&hint)),
                ..problem
            };
            refuse(found.into_iter().map(hidden).collect(), &text)
        })?;
        // What a savepoint says of the job: secrets are never stored.
        spec.note_written(&canonical_json(&document));
        spec.veil = Arc::<Secrets>::clone(&secrets);
        let assess = |(id, written): (&NodeId, &OperatorSpec)| assess(id, written, &spec.operators[id]);
        let assessment = Assessment {
            job: Some(document.job.clone()),
            problems,
            plan: Some(spec.plan.clone()),
            operators: document.operators.iter().map(assess).collect(),
            savepoint: None,
            migration: BTreeMap::new(),
        };
        Ok(PreparedJob { document, spec, secrets, assessment })
    }
}

fn module_bytes(job: &JobId, module: &ModuleRecord, catalog: &dyn Catalog) -> Result<ModuleBytes, ControlError> {
    let hash = module.admission.hash;
    let lost = || ControlError::CannotStart {
        job: job.clone(),
        message: format!("the bytes of module {hash} are gone from the catalog: upload them again"),
    };
    Ok(ModuleBytes { hash, bytes: catalog.module_bytes(hash)?.ok_or_else(lost)?.into() })
}

fn assess(id: &NodeId, written: &OperatorSpec, parts: &OperatorParts) -> OperatorAssessment {
    let mut parameters = serde_json::from_str(&parts.prepared.parameters).unwrap_or(Value::Null);
    put_back(written.parameters.as_ref().unwrap_or(&Value::Null), &mut parameters);
    OperatorAssessment { operator: id.clone(), module: written.module.clone().into(), hash: parts.module, parameters }
}

fn find_module(
    id: &NodeId,
    spec: &OperatorSpec,
    catalog: &dyn Catalog,
) -> Result<Result<ModuleRecord, DocumentProblem>, PortError> {
    let at = format!("operators.{id}.module");
    let (wanted, hash) = match &spec.module {
        ModuleSource::Named(name) => (name.to_string(), catalog.resolve(name)?),
        ModuleSource::Hash(hash) => (hash.to_string(), Some(*hash)),
        ModuleSource::File(path) => {
            return Ok(Err(DocumentProblem {
                hint: Some(
                    "push it with `gristmill module push`, then write its name@version; \
                     `gristmill job submit` and `gristmill run` do so by themselves"
                        .to_owned(),
                ),
                ..error_at(at, format!("`{path}` is a file, and a running host takes uploaded modules only"))
            }));
        }
    };
    if let Some(found) = hash.map(|hash| catalog.module(hash)).transpose()?.flatten() {
        return Ok(Ok(found));
    }
    let known = known_names(&catalog.modules()?);
    Ok(Err(DocumentProblem {
        hint: Some(match nearest(&wanted, known.iter().map(String::as_str)) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("upload it first: gristmill module push FILE --name {wanted}"),
        }),
        ..error_at(at, format!("there is no module `{wanted}`"))
    }))
}

/// Problems with their places, in the order of the text; an error if one of them is.
fn in_order(mut problems: Vec<DocumentProblem>, text: &str) -> Result<Vec<DocumentProblem>, ControlError> {
    if problems.iter().any(DocumentProblem::is_error) {
        return Err(refuse(problems, text));
    }
    place(&mut problems, text);
    Ok(problems)
}

fn refuse(mut problems: Vec<DocumentProblem>, text: &str) -> ControlError {
    place(&mut problems, text);
    ControlError::BadDocument(problems)
}

fn error_at(at: String, message: String) -> DocumentProblem {
    DocumentProblem { severity: Severity::Error, at, line: None, column: None, message, hint: None }
}
