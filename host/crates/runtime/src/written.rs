//! A job's document as it is since swaps, for savepoints.

use gristmill_types::{ModuleHash, NodeId};
use serde_json::Value;

/// A job's document, and what it says of operators with the modules that a manifest may name.
pub(crate) struct WrittenJob {
    /// As the job began with it.
    pub(crate) text: String,
    /// What runs in each operator, then what the newest swap brought and what it took away.
    pub(crate) operators: Vec<(NodeId, ModuleHash, Option<Value>)>,
}

impl WrittenJob {
    /// The document of a checkpoint that has these modules in its operators.
    pub(crate) fn with<'a>(&self, modules: impl Iterator<Item = (&'a NodeId, ModuleHash)>) -> String {
        let Ok(mut document) = serde_json::from_str::<Value>(&self.text) else { return self.text.clone() };
        for (node, module) in modules {
            let known = self.operators.iter().find(|(of, known, _)| of == node && *known == module);
            let written = known.and_then(|(.., written)| written.as_ref());
            if let Some((there, written)) = document.pointer_mut(&format!("/operators/{node}")).zip(written) {
                there.clone_from(written);
            }
        }
        document.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_document_follows_the_modules_that_a_manifest_names() {
        let node: NodeId = "count".parse().unwrap();
        let (old, new) = (ModuleHash([1; 32]), ModuleHash([2; 32]));
        let text = json!({"job": "orders", "operators": {"count": {"module": "count@0"}}}).to_string();
        let operators = [(old, "count@1"), (new, "count@2"), (old, "count@9")];
        let operators = operators.map(|(hash, module)| (node.clone(), hash, Some(json!({"module": module})))).into();
        let job = WrittenJob { text, operators };
        let module = |hash| {
            let document: Value = serde_json::from_str(&job.with([(&node, hash)].into_iter())).unwrap();
            document["operators"]["count"]["module"].clone()
        };
        assert_eq!((module(old), module(new)), (json!("count@1"), json!("count@2")), "what runs, before what ran");
        assert_eq!(module(ModuleHash([3; 32])), json!("count@0"), "as it was");
        let not_json = WrittenJob { text: "job: orders".to_owned(), operators: job.operators };
        assert_eq!(not_json.with([(&node, old)].into_iter()), "job: orders");
    }
}
