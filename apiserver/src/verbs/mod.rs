//! One file per verb. Each takes a call that may go on and returns the answer; what is stored is the store's decision.

pub(crate) mod artifact;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod delete_collection;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod log;
pub(crate) mod patch;
pub(crate) mod update;
pub(crate) mod versions;
pub(crate) mod watch;

use api_types::status::Status;
use store::request::{Veto, WriteOptions};

use crate::answer::{Answer, document, warn};
use crate::api::Call;
use crate::negotiation::Form;
use crate::query::OptionsKind;
use crate::render::Rendering;
use crate::served::Served;
use crate::table::Include;

/// What a verb comes to.
pub(crate) type VerbResult = Result<Answer, Status>;

/// Returns the rendering that the client asked for.
pub(crate) fn rendering(call: &Call, served: &Served) -> Result<Rendering, Status> {
    let form = call.negotiated.form;
    let include = match form {
        Form::Table(_) => Include::parse(call.query.text("includeObject"))?,
        Form::Object | Form::Metadata(_) => Include::Metadata,
    };
    Ok(Rendering::new(served.clone(), form, include, call.api.clock.now()))
}

/// Returns an answer with one object.
pub(crate) fn object_answer(
    call: &mut Call,
    served: &Served,
    code: u16,
    object: &store::object::Object,
    warnings: &[String],
) -> VerbResult {
    call.note_object(object);
    let json = rendering(call, served)?.single(object);
    let mut answer = document(code, json, &call.negotiated);
    if let Some(warning) = &served.version().deprecation_warning {
        warn(&mut answer, std::slice::from_ref(warning));
    }
    warn(&mut answer, warnings);
    Ok(answer)
}

/// Returns the options of a write, with the check that nobody gives away rights that they do not have.
pub(crate) fn write_options(call: &Call, kind: OptionsKind) -> Result<WriteOptions, Status> {
    let options = call.query.write_options(kind, &call.default_manager())?;
    if call.info.group != "rbac.authorization.k8s.io" {
        return Ok(options);
    }
    let (access, user) = (call.api.access.clone(), call.user.clone());
    let veto = Veto::new(move |object, before| access.authorizer.check_escalation(&user, object, before));
    Ok(WriteOptions { veto: Some(veto), ..options })
}

/// Checks the query of a request whose answer is a table, before anything is done.
pub(crate) fn check_include(call: &Call) -> Result<(), Status> {
    if matches!(call.negotiated.form, Form::Table(_)) {
        Include::parse(call.query.text("includeObject"))?;
    }
    Ok(())
}
