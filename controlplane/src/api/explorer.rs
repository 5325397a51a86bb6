//! The document as a page: every operation with its role, parameters, answers and a `curl` line.
//!
//! Pure. Drawn by the server, without script and without another host, under the same policy as every other page: a
//! viewer from elsewhere would need inline styles or a network.

use std::fmt::Write;

use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

use crate::http::escape;

/// Methods in the order in which they are shown.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Draws the page.
pub(super) fn draw(document: &OpenApi) -> String {
    let document = serde_json::to_value(document).unwrap_or_default();
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Millrace: the API</title><link rel=\"stylesheet\" href=\"/style.css\"></head><body>\n<h1>Millrace: the API</h1>\n",
    );
    let text = |value: &Value| escape(value.as_str().unwrap_or_default());
    let _ = writeln!(
        html,
        "<p>{}</p><p>For programs: <a href=\"/api/v1/openapi.json\">openapi.json</a>. Errors: <a href=\"/api/v1/problems\">\
         problems</a>.</p>",
        text(&document["info"]["description"]).replace('`', "")
    );
    let mut tag = String::new();
    for (path, method, operation) in operations(&document) {
        let its_tag = text(&operation["tags"][0]);
        if its_tag != tag {
            let _ = writeln!(html, "<h2 id=\"{its_tag}\">{its_tag}</h2>");
            tag = its_tag;
        }
        draw_operation(&mut html, &document, path, method, operation);
    }
    html.push_str("<h2 id=\"schemas\">schemas</h2>\n");
    let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    for (name, schema) in &schemas {
        draw_schema(&mut html, name, schema);
    }
    html.push_str("</body></html>\n");
    html
}

/// All operations, by tag and path.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let mut found: Vec<(&str, &str, &Value)> = paths
        .flat_map(|(path, item)| {
            METHODS.into_iter().filter_map(move |method| Some((path.as_str(), method, item.get(method)?)))
        })
        .collect();
    found.sort_by_key(|(path, method, operation)| {
        (
            operation["tags"][0].as_str().unwrap_or_default(),
            *path,
            METHODS.iter().position(|known| known == method),
        )
    });
    found
}

fn draw_operation(html: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let text = |value: &Value| escape(value.as_str().unwrap_or_default());
    let id = text(&operation["operationId"]);
    let _ = writeln!(
        html,
        "<h3 id=\"{id}\"><code>{} {}</code></h3><p>{} {}Role: {}.</p>",
        method.to_uppercase(),
        escape(path),
        text(&operation["summary"]),
        operation["description"]
            .as_str()
            .map_or_else(String::new, |text| format!("{} ", escape(text).replace('`', ""))),
        text(&operation["x-required-role"]),
    );
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        html.push_str("<table><thead><tr><th scope=\"col\">parameter</th><th scope=\"col\">in</th><th scope=\"col\">meaning</th></tr></thead><tbody>\n");
        for one in parameters {
            let _ = writeln!(
                html,
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                text(&one["name"]),
                text(&one["in"]),
                text(&one["description"])
            );
        }
        html.push_str("</tbody></table>\n");
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    if let Some(name) = body.as_str().and_then(|reference| reference.rsplit('/').next()) {
        let name = escape(name);
        let _ = writeln!(html, "<p>Body: <a href=\"#schema-{name}\">{name}</a>.</p>");
    }
    let answers = operation["responses"].as_object().cloned().unwrap_or_default();
    for (status, answer) in answers.iter().filter(|(status, _)| status.starts_with('2')) {
        let schema = &answer["content"]["application/json"]["schema"]["$ref"];
        let link = schema.as_str().and_then(|reference| reference.rsplit('/').next()).map(escape);
        let link = link.map_or_else(String::new, |name| format!(" <a href=\"#schema-{name}\">{name}</a>"));
        let _ = writeln!(html, "<p>{status}: {}{link}</p>", text(&answer["description"]));
    }
    let _ = writeln!(html, "<pre>{}</pre>", escape(&curl(document, path, method, operation)));
}

/// A line for a shell. The token comes from a file, so that it is in no list of processes.
fn curl(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let mut line = format!("curl -X {} http://127.0.0.1:8080{path}", method.to_uppercase());
    if operation["security"].is_array() {
        line.push_str(" -H @token.header");
    }
    let reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
    let schema = reference.and_then(|reference| document.pointer(reference.strip_prefix('#')?));
    if let Some(schema) = schema {
        let none = Map::new();
        let fields: Vec<String> = schema["properties"]
            .as_object()
            .unwrap_or(&none)
            .iter()
            .map(|(name, field)| {
                format!("\"{name}\": {}", field.get("example").map_or("…".to_owned(), Value::to_string))
            })
            .collect();
        let _ = write!(line, " -H 'Content-Type: application/json' -d '{{{}}}'", fields.join(", "));
    }
    line
}

fn draw_schema(html: &mut String, name: &str, schema: &Value) {
    let text = |value: &Value| escape(value.as_str().unwrap_or_default());
    let name = escape(name);
    let _ = writeln!(
        html,
        "<h3 id=\"schema-{name}\">{name}</h3><p>{}</p>",
        text(&schema["description"]).replace('`', "")
    );
    let Some(fields) = schema["properties"].as_object() else { return };
    html.push_str("<table><thead><tr><th scope=\"col\">field</th><th scope=\"col\">form</th><th scope=\"col\">meaning</th></tr></thead><tbody>\n");
    for (field, of) in fields {
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(field),
            escape(&form(of)),
            text(&of["description"]).replace('`', "")
        );
    }
    html.push_str("</tbody></table>\n");
}

/// Form of a field in a word or two.
fn form(of: &Value) -> String {
    if let Some(name) = of["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return name.to_owned();
    }
    if let Some(list) = ["oneOf", "anyOf", "allOf"].iter().find_map(|word| of[*word].as_array()) {
        let forms: Vec<String> = list.iter().map(form).collect();
        return forms.join(" or ");
    }
    match &of["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", form(&of["items"])),
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;

    #[test]
    fn the_page_has_every_operation_and_needs_nobody_else() {
        let page = draw(&api::document());
        let document = serde_json::to_value(api::document()).unwrap();
        for (path, method, operation) in operations(&document) {
            let head = format!("<code>{} {}</code>", method.to_uppercase(), escape(path));
            assert!(page.contains(&head), "{head}");
            assert!(page.contains(&format!("id=\"{}\"", operation["operationId"].as_str().unwrap())));
        }
        assert!(
            !page.contains("<script") && !page.contains("style=") && !page.contains("//cdn"),
            "foreign parts"
        );
        for link in page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(link.starts_with('/') || link.starts_with('#'), "{link} leaves the server");
            if let Some(anchor) = link.strip_prefix('#') {
                assert!(page.contains(&format!("id=\"{anchor}\"")), "{link} leads nowhere");
            }
        }
    }
}
