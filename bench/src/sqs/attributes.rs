//! Message attributes: rules, checksum, JSON.
//!
//! Source: SQS developer guide, "Amazon SQS message metadata" and "Calculating the MD5 message digest for
//! message attributes".

use md5::{Digest, Md5};

use super::error::ApiError;
use super::message::{Attribute, base64, hex, json_string};

/// Attributes on one message.
const ATTRIBUTES_MAX: usize = 10;

pub(crate) fn check(attributes: &[Attribute]) -> Result<(), ApiError> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(ApiError::invalid_parameter(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{ATTRIBUTES_MAX}].",
            attributes.len()
        )));
    }
    for attribute in attributes {
        let name = &attribute.name;
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let lower = name.to_ascii_lowercase();
        let reserved = lower.starts_with("aws.") || lower.starts_with("amazon.");
        let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
        if name.is_empty() || name.len() > 256 || !name.chars().all(legal) || reserved || dots {
            return Err(ApiError::invalid_parameter(format!(
                "The message attribute name '{name}' is not valid."
            )));
        }
        let base = attribute.data_type.split('.').next().unwrap_or_default();
        if !matches!(base, "String" | "Number" | "Binary") {
            return Err(ApiError::invalid_parameter(format!(
                "The message attribute '{name}' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String."
            )));
        }
        if attribute.value.is_empty() {
            return Err(ApiError::invalid_parameter(format!(
                "The message attribute '{name}' must contain a non-empty message attribute value."
            )));
        }
        if base == "Number" && !std::str::from_utf8(&attribute.value).is_ok_and(is_number) {
            return Err(ApiError::invalid_parameter(format!(
                "Can't cast the value of message attribute '{name}' to a number."
            )));
        }
    }
    Ok(())
}

/// Rust would take `inf` and `nan` too.
fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite) && !text.contains(['i', 'n', 'I', 'N'])
}

fn is_binary(attribute: &Attribute) -> bool {
    attribute.data_type.starts_with("Binary")
}

/// MD5 over the attributes sorted by name; `None` without any.
pub(crate) fn md5(attributes: &[Attribute]) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut sorted: Vec<&Attribute> = attributes.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut digest = Md5::new();
    for attribute in sorted {
        for field in [attribute.name.as_bytes(), attribute.data_type.as_bytes()] {
            digest.update((field.len() as u32).to_be_bytes());
            digest.update(field);
        }
        // The transport type stands before the value, as one byte: 1 for text, 2 for bytes.
        digest.update([if is_binary(attribute) { 2 } else { 1 }]);
        digest.update((attribute.value.len() as u32).to_be_bytes());
        digest.update(&attribute.value);
    }
    Some(hex(&digest.finalize()))
}

/// MD5 of the one system attribute that a sender may set. Source: SendMessage, `MD5OfMessageSystemAttributes`.
pub(crate) fn md5_of_trace(header: &str) -> Option<String> {
    md5(&[Attribute {
        name: "AWSTraceHeader".to_owned(),
        data_type: "String".to_owned(),
        value: header.as_bytes().to_vec(),
    }])
}

/// Appends `,"MD5OfMessageAttributes":"…","MessageAttributes":{…}`; nothing without attributes.
pub(crate) fn write(out: &mut Vec<u8>, attributes: &[Attribute]) {
    let Some(md5) = md5(attributes) else { return };
    out.extend_from_slice(b",\"MD5OfMessageAttributes\":\"");
    out.extend_from_slice(md5.as_bytes());
    out.extend_from_slice(b"\",\"MessageAttributes\":{");
    for (index, attribute) in attributes.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json_string(out, &attribute.name);
        out.extend_from_slice(b":{\"DataType\":");
        json_string(out, &attribute.data_type);
        if is_binary(attribute) {
            out.extend_from_slice(b",\"BinaryValue\":");
            json_string(out, &base64(&attribute.value));
        } else {
            out.extend_from_slice(b",\"StringValue\":");
            json_string(out, &String::from_utf8_lossy(&attribute.value));
        }
        out.push(b'}');
    }
    out.push(b'}');
}
