//! What explains the API: its document, a page of it, and the codes of its problems.

use std::sync::LazyLock;

use axum::Json;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::{self, At, Code, Problem, Routes, explorer};

static DOCUMENT: LazyLock<String> = LazyLock::new(api::document_text);
static PAGE: LazyLock<String> = LazyLock::new(|| explorer::draw(&api::document()));

pub(crate) fn routes() -> Routes {
    // Open: they hold nothing that the source code does not.
    Routes::new().open(routes!(document)).open(routes!(page)).open(routes!(list)).open(routes!(show))
}

/// One code of a problem.
#[derive(Serialize, ToSchema)]
struct Explained {
    /// The code.
    #[schema(example = "not_found")]
    code: &'static str,
    /// HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// Short text.
    title: &'static str,
    /// What it means.
    meaning: &'static str,
    /// What to do about it.
    remedy: &'static str,
}

impl From<Code> for Explained {
    fn from(code: Code) -> Explained {
        Explained {
            code: code.as_str(),
            status: code.status().as_u16(),
            title: code.title(),
            meaning: code.meaning(),
            remedy: code.remedy(),
        }
    }
}

/// All codes.
#[derive(Serialize, ToSchema)]
struct Problems {
    /// The codes, by status.
    items: Vec<Explained>,
}

/// Serves this document.
#[utoipa::path(get, path = "/api/v1/openapi.json", operation_id = "document", tag = "help",
    responses((status = 200, description = "The OpenAPI document.", body = serde_json::Value)))]
async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// Serves this document as a page that needs no other host and no script.
#[utoipa::path(get, path = "/api/v1", operation_id = "explorer", tag = "help",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")))]
async fn page() -> Html<&'static str> {
    Html(PAGE.as_str())
}

/// Lists the codes of problems.
#[utoipa::path(get, path = "/api/v1/problems", operation_id = "problems_list", tag = "help",
    responses((status = 200, description = "All codes.", body = Problems)))]
async fn list() -> Json<Problems> {
    let mut items: Vec<Explained> = Code::ALL.iter().copied().map(Explained::from).collect();
    items.sort_by_key(|code| code.status);
    Json(Problems { items })
}

/// Explains a code.
#[utoipa::path(get, path = "/api/v1/problems/{code}", operation_id = "problems_show", tag = "help",
    params(("code" = String, Path, description = "The code.")),
    responses((status = 200, description = "What it means and what to do.", body = Explained)))]
async fn show(At(code): At<String>) -> Result<Json<Explained>, Problem> {
    let known = Code::ALL.iter().copied().find(|known| known.as_str() == code);
    let unknown = || Problem::new(Code::NotFound, "there is no such code; /api/v1/problems lists them");
    known.map(|code| Json(code.into())).ok_or_else(unknown)
}
