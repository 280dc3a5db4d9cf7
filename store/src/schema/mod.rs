//! STUB so that the crate compiles until the real module lands: on a merge conflict take the real one (yours) whole.
pub mod compiled {
    use api_types::{schema::Schema, status::StatusCause};
    use serde_json::Value;
    #[derive(Debug)]
    pub struct CompiledSchema(Schema);
    impl CompiledSchema {
        pub fn compile(s: Schema) -> Result<Self, Vec<StatusCause>> {
            Ok(Self(s))
        }
        pub fn schema(&self) -> &Schema {
            &self.0
        }
        pub fn prune(&self, _v: &mut Value) -> Vec<String> {
            vec![]
        }
        pub fn default(&self, _v: &mut Value) {}
        pub fn validate(&self, _v: &Value, _o: Option<&Value>) -> Vec<StatusCause> {
            vec![]
        }
    }
}
pub mod metadata {
    use api_types::status::StatusCause;
    use serde_json::Value;
    pub enum NameGrammar {
        Subdomain,
        Label,
        PathSegment,
    }
    pub struct MetadataRules {
        pub namespaced: bool,
        pub name: NameGrammar,
    }
    pub fn validate_metadata(_v: &Value, _o: Option<&Value>, _r: &MetadataRules) -> (Vec<StatusCause>, Vec<String>) {
        (vec![], vec![])
    }
}
