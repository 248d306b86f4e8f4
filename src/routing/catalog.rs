//! The models by name: which one serves a request.

use std::sync::Arc;

use tidegate_protocol::{ErrorKind, Failure, FieldFault, Request, Task};

use crate::config::{Model, ModelType, ProviderKind};
use crate::provider;

/// A configured model and its place in the catalog.
#[derive(Clone)]
pub struct Route {
    /// Index of the model; backends are kept in the same order.
    pub index: usize,
    pub model: Arc<Model>,
    /// The kinds of its targets, each once.
    pub kinds: Arc<[ProviderKind]>,
}

impl Route {
    /// Whether any target may send frames of the client's own dialect, to be passed on as they come.
    #[must_use]
    pub fn relays(&self, request: &Request) -> bool {
        self.kinds.iter().any(|kind| provider::relays(*kind, request))
    }
}

/// All models, and the one that serves requests that name none.
pub struct Catalog {
    models: Vec<Arc<Model>>,
    /// Of each model.
    kinds: Vec<Arc<[ProviderKind]>>,
    active: usize,
}

impl Catalog {
    /// `active` names one of `models`; the first is active otherwise.
    #[must_use]
    pub fn new(models: Vec<Model>, active: Option<&str>) -> Self {
        let index = models.iter().position(|model| Some(model.name.as_str()) == active);
        let kinds = models.iter().map(|model| model.kinds().into()).collect();
        let models = models.into_iter().map(Arc::new).collect();
        Self { models, kinds, active: index.unwrap_or(0) }
    }

    #[must_use]
    pub fn models(&self) -> &[Arc<Model>] {
        &self.models
    }

    #[must_use]
    pub fn active(&self) -> Option<&Arc<Model>> {
        self.models.get(self.active)
    }

    /// Finds the model a request asks for. Where it names none, the active one serves chats and
    /// completions; embeddings are served by the one model for them, if there is just one: vectors
    /// of two models cannot be compared.
    ///
    /// # Errors
    /// [`ErrorKind::ModelNotFound`], listing the models there are; [`ErrorKind::InvalidRequest`]
    /// when the model is of another type, or must be named.
    pub fn resolve(&self, request: &Request) -> Result<Route, Failure> {
        let types = serving(&request.task);
        let index = match request.model.as_deref() {
            Some(name) => self.position(name)?,
            None if matches!(request.task, Task::Embedding(_)) => self.only(types)?,
            None => self.active,
        };
        let found = self.models.get(index).zip(self.kinds.get(index));
        let (model, kinds) = found.ok_or_else(|| self.unknown())?;
        if types.contains(&model.model_type) {
            return Ok(Route { index, model: Arc::clone(model), kinds: Arc::clone(kinds) });
        }
        let (name, found) = (&model.name, model.model_type.as_str());
        Err(wrong(format!("`{name}` is a model of type {found}; {}", self.offered(types))))
    }

    /// The model of that name.
    ///
    /// # Errors
    /// [`ErrorKind::ModelNotFound`], listing the models there are.
    pub fn find(&self, name: &str) -> Result<&Arc<Model>, Failure> {
        self.models.get(self.position(name)?).ok_or_else(|| self.unknown())
    }

    fn position(&self, name: &str) -> Result<usize, Failure> {
        let index = self.models.iter().position(|model| model.name == name);
        index.ok_or_else(|| self.unknown())
    }

    /// The one model of these types.
    fn only(&self, types: &[ModelType]) -> Result<usize, Failure> {
        let mut of_type = self.models.iter().enumerate().filter(|(_, model)| is_of(model, types));
        match (of_type.next(), of_type.next()) {
            (Some((index, _)), None) => Ok(index),
            _ => Err(wrong(format!("must be named; {}", self.offered(types)))),
        }
    }

    fn unknown(&self) -> Failure {
        let known: Vec<_> = self.models.iter().map(|model| model.name.as_str()).collect();
        let message = format!("no such model here; there is: {}", known.join(", "));
        Failure::new(ErrorKind::ModelNotFound, message)
    }

    /// What would be right.
    fn offered(&self, types: &[ModelType]) -> String {
        let words: Vec<_> = types.iter().map(|known| known.as_str()).collect();
        let fitting = self.models.iter().filter(|model| is_of(model, types));
        let names: Vec<_> = fitting.map(|model| model.name.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        format!("of type {} there is: {names}", words.join(" or "))
    }
}

fn is_of(model: &Model, types: &[ModelType]) -> bool {
    types.contains(&model.model_type)
}

/// The types of models that can do it.
fn serving(task: &Task) -> &'static [ModelType] {
    match task {
        Task::Chat(_) => &[ModelType::Chat],
        // A model that can chat can continue a text.
        Task::Completion(_) => &[ModelType::Completion, ModelType::Chat],
        Task::Embedding(_) => &[ModelType::Embedding],
    }
}

fn wrong(message: String) -> Failure {
    Failure::invalid(vec![FieldFault { field: "model".to_owned(), message }])
}
