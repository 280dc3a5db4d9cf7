//! What a run looks at before it decides.

use std::sync::Arc;
use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::app::App;
use api_types::kinds::approval::Approval;
use api_types::kinds::recipe::Recipe;
use serde_json::Value;

use super::queue::Place;
use crate::runtime::operations::OperationState;
use crate::runtime::outcome::Failure;

/// What is seen.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The recipe, if it exists.
    pub recipe: Option<Arc<Object<Recipe>>>,
    /// The zone of run domains for recipes that name none.
    pub default_zone: Option<String>,
    /// Every Approval of the namespace.
    pub approvals: Vec<Object<Approval>>,
    /// Where it stands in the queue.
    pub place: Place,
    /// Whether a place on the host is set aside for it.
    pub is_reserved: bool,
    /// Whether there is a camera.
    pub takes_pictures: bool,
    /// What has become of the order that the unfinished step gave.
    pub progress: Progress,
    /// The app under test, if it is there.
    pub app: Option<Arc<Object<App>>>,
    /// The dependencies that exist, by the App's name.
    pub dependencies: Vec<Arc<Object<App>>>,
    /// Recipes of the dependencies that exist, by name.
    pub dependency_recipes: Vec<Arc<Object<Recipe>>>,
}

/// What has become of an order.
#[derive(Clone, Debug)]
pub enum Progress {
    /// It was never given, or ccd was started again since.
    Absent,
    /// It is being carried out, for so long already.
    Running(Duration),
    /// It came to this.
    Ended(Value),
    /// Something of ours failed.
    Broke(Failure),
}

impl From<OperationState> for Progress {
    fn from(state: OperationState) -> Self {
        match state {
            OperationState::Absent => Self::Absent,
            OperationState::Running(since) => Self::Running(since),
            OperationState::Done(Ok(value)) => Self::Ended(value),
            OperationState::Done(Err(failure)) => Self::Broke(failure),
        }
    }
}
