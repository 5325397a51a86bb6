//! The OpenAPI document: made from the routes and their types, served, and checked in as `controlplane/openapi.json`.

use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, Ref, Required,
    ResponseBuilder, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{FieldFault, ProblemBody};
use super::registry::{CHANGES_EXTENSION, operations_of};

const DESCRIPTION: &str = "\
Steers and shows a Millrace appliance. Every route but those of signing in needs `Authorization: Bearer TOKEN`: an access \
token from `/api/v1/login`, an API key, or a token of a configured issuer. `x-required-role` of an operation is the role \
that it needs: viewer, operator or admin. Errors are problems (RFC 9457) with stable codes, explained at \
`/api/v1/problems`. Changes take an `Idempotency-Key`: the same key and body get the same answer for a day. Long lists \
come in pages: `next` is the cursor of the next one. Times are milliseconds since 1970, UTC, and end in `_ms`.";

/// The document without routes.
pub(super) fn base() -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An access token, an API key, or a token of a configured issuer."))
        .build();
    let mut components = Components::new();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.schemas.insert(ProblemBody::name().into_owned(), ProblemBody::schema());
    components.schemas.insert(FieldFault::name().into_owned(), FieldFault::schema());
    let problem = ResponseBuilder::new()
        .description("What went wrong; `code` tells programs, `detail` people.")
        .content(
            "application/problem+json",
            ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemBody::name()))).build(),
        )
        .build();
    components.responses.insert("Problem".to_owned(), problem.into());
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Millrace")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION))
                .build(),
        )
        .components(Some(components))
        .build()
}

/// Adds what every change takes.
pub(super) fn finish(document: &mut OpenApi) {
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "1 to 64 letters, digits, '-' and '_'. The same key and body get the same answer for a day.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9_-]{1,64}$"))))
        .build();
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations_of(item) {
            let changes = operation.extensions.as_ref().and_then(|all| all.get(CHANGES_EXTENSION)?.as_bool());
            if changes == Some(true) {
                operation.parameters.get_or_insert_default().push(key.clone().into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::api;

    #[test]
    fn the_document_in_the_tree_is_the_one_made_from_the_routes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == api::document_text(), "run: millrace openapi > controlplane/openapi.json");
    }

    #[test]
    fn every_operation_has_a_name_a_sentence_and_a_tag() {
        let document = api::document();
        let mut names = std::collections::HashSet::new();
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!(json["openapi"], "3.1.0");
        for (path, item) in json["paths"].as_object().unwrap() {
            assert!(path.starts_with("/api/v1"), "{path}");
            for (method, operation) in item.as_object().unwrap() {
                let at = format!("{method} {path}");
                let name = operation["operationId"].as_str().unwrap_or_default();
                assert!(!name.is_empty() && names.insert(name.to_owned()), "{at}: `{name}`");
                assert!(
                    operation["summary"].as_str().is_some_and(|text| text.ends_with('.')),
                    "{at}: no sentence"
                );
                assert!(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{at}: no tag");
                assert!(operation["x-required-role"].is_string(), "{at}: no role");
                assert!(operation["responses"]["default"].is_object(), "{at}");
            }
        }
        assert!(names.len() > 20, "{} operations", names.len());
    }

    #[test]
    fn no_two_types_have_one_name() {
        assert_eq!(api::routes::all().clashes(), [""; 0], "rename one of each");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let json = serde_json::to_value(api::document()).unwrap();
        let mut references = Vec::new();
        collect(&json, &mut references);
        assert!(references.len() > 50);
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("references stay in the document");
            assert!(json.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }

    fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(serde_json::Value::as_str) {
                    found.push(reference.to_owned());
                }
                fields.values().for_each(|value| collect(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
}
