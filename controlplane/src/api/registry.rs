//! How a route comes to be: with its access, its entry in the document and its guard, or not at all.
//!
//! `OpenApiRouter` is kept inside [`Routes`], whose only way in asks for the access. So there is no route without
//! a role, none that is missing from the document, and the document says which role each needs.

use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{self, Next};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Ref, RefOr, Response, Schema, SecurityRequirement};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};

use super::guard::{Access, Post};
use super::{Code, Ctx, Role};

/// Extension of an operation in the document: the role that it needs.
pub(crate) const ROLE_EXTENSION: &str = "x-required-role";
/// Extension of an operation in the document: whether it changes something.
pub(super) const CHANGES_EXTENSION: &str = "x-changes";

/// Routes of one resource, or of all.
#[derive(Clone, Default)]
pub(crate) struct Routes {
    router: OpenApiRouter<Ctx>,
    /// Names that two types of the document have: one would silently stand for both.
    clashes: Vec<String>,
}

impl Routes {
    /// No routes yet.
    pub(crate) fn new() -> Routes {
        Routes::default()
    }

    /// Adds routes of one path that anybody may use. Few have a reason to.
    pub(crate) fn open(self, routes: UtoipaMethodRouter<Ctx>) -> Routes {
        self.add(Access::Open, false, routes)
    }

    /// Adds routes of one path that need a role.
    pub(crate) fn at(self, role: Role, routes: UtoipaMethodRouter<Ctx>) -> Routes {
        self.add(Access::Role(role), true, routes)
    }

    /// Adds routes of one path that need a role and change nothing, though they have a body: not in the audit log.
    pub(crate) fn asks(self, role: Role, routes: UtoipaMethodRouter<Ctx>) -> Routes {
        self.add(Access::Role(role), false, routes)
    }

    /// Adds the routes of another resource.
    pub(crate) fn merge(self, other: Routes) -> Routes {
        let theirs = other.router.get_openapi().components.clone().unwrap_or_default();
        let mut clashes = self.clashes_with(theirs.schemas.iter());
        clashes.extend(other.clashes);
        Routes { router: self.router.merge(other.router), clashes }
    }

    /// Names that two different types of the document have.
    #[cfg(test)]
    pub(super) fn clashes(&self) -> &[String] {
        &self.clashes
    }

    fn clashes_with<'a>(
        &self,
        schemas: impl Iterator<Item = (&'a String, &'a RefOr<Schema>)>,
    ) -> Vec<String> {
        let mine = self.router.get_openapi().components.as_ref().map(|components| &components.schemas);
        let clash = |name: &String, schema: &RefOr<Schema>| {
            mine.and_then(|mine| mine.get(name)).is_some_and(|known| known != schema)
        };
        let found = schemas.filter(|(name, schema)| clash(name, schema)).map(|(name, _)| name.clone());
        self.clashes.iter().cloned().chain(found).collect()
    }

    /// The router and the document, for [`super`] alone.
    pub(super) fn into_inner(self) -> OpenApiRouter<Ctx> {
        self.router
    }

    fn add(self, access: Access, changes: bool, mut routes: UtoipaMethodRouter<Ctx>) -> Routes {
        let mut operations = Vec::new();
        for item in routes.1.paths.values_mut() {
            for (method, operation) in operations_of(item) {
                describe(operation, access, changes && method != Method::GET);
                operations.push((method, operation.operation_id.clone().unwrap_or_default()));
            }
        }
        let post = Post { access, changes, operations: operations.into() };
        let guard = middleware::from_fn(move |request: Request, next: Next| post.clone().pass(request, next));
        let clashes = self.clashes_with(routes.0.iter().map(|(name, schema)| (name, schema)));
        Routes { router: self.router.routes(routes.layer(guard)), clashes }
    }
}

/// The operations of a path with their methods.
pub(super) fn operations_of(item: &mut PathItem) -> Vec<(Method, &mut Operation)> {
    let all = [
        (Method::GET, item.get.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
        (Method::PATCH, item.patch.as_mut()),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation?))).collect()
}

/// Adds what holds for every operation: role, token, and the errors of the guard.
fn describe(operation: &mut Operation, access: Access, is_change: bool) {
    let mut codes =
        vec![Code::BadRequest, Code::NotFound, Code::RateLimited, Code::Internal, Code::StoreUnavailable];
    if operation.request_body.is_some() {
        codes.extend([Code::TooLarge, Code::MediaType, Code::Unprocessable, Code::LengthRequired]);
    }
    if is_change {
        codes.extend([Code::Conflict, Code::Unprocessable, Code::StoreFull]);
    }
    let role = match access {
        Access::Open => "none",
        Access::Role(role) => {
            codes.extend([Code::Unauthenticated, Code::Forbidden]);
            operation.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
            role.as_str()
        }
    };
    let extensions =
        ExtensionsBuilder::new().add(ROLE_EXTENSION, role).add(CHANGES_EXTENSION, is_change).build();
    operation.extensions.get_or_insert_default().merge(extensions);
    for code in codes {
        let status = code.status().as_u16().to_string();
        operation.responses.responses.entry(status).or_insert_with(problem);
    }
    operation.responses.responses.entry("default".to_owned()).or_insert_with(problem);
}

fn problem() -> RefOr<Response> {
    RefOr::Ref(Ref::from_response_name("Problem"))
}
