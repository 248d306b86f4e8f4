//! Which model serves a request.

use std::sync::Arc;

use tidegate_protocol::{ErrorKind, Failure};

use crate::config::{Model, ModelType};

/// A configured model and its place in the catalog.
#[derive(Clone)]
pub struct Route {
    /// Index of the model; backends are kept in the same order.
    pub index: usize,
    pub model: Arc<Model>,
}

/// All models, and the one that serves requests that name none.
pub struct Catalog {
    models: Vec<Arc<Model>>,
    active: usize,
}

impl Catalog {
    /// `active` names one of `models`; the first is active otherwise.
    #[must_use]
    pub fn new(models: Vec<Model>, active: Option<&str>) -> Self {
        let index = models.iter().position(|model| Some(model.name.as_str()) == active);
        Self { models: models.into_iter().map(Arc::new).collect(), active: index.unwrap_or(0) }
    }

    #[must_use]
    pub fn models(&self) -> &[Arc<Model>] {
        &self.models
    }

    #[must_use]
    pub fn active(&self) -> Option<&Arc<Model>> {
        self.models.get(self.active)
    }

    /// Finds the chat model a request asks for.
    ///
    /// # Errors
    /// [`ErrorKind::ModelNotFound`], listing the models there are; [`ErrorKind::InvalidRequest`]
    /// when the model is of another type.
    pub fn resolve(&self, name: Option<&str>) -> Result<Route, Failure> {
        let index = match name {
            None => Some(self.active),
            Some(name) => self.models.iter().position(|model| model.name == name),
        };
        let Some((index, model)) = index.and_then(|index| Some((index, self.models.get(index)?)))
        else {
            let known: Vec<_> = self.models.iter().map(|model| model.name.as_str()).collect();
            return Err(Failure::new(
                ErrorKind::ModelNotFound,
                format!("no such model here; there is: {}", known.join(", ")),
            ));
        };
        if model.model_type != ModelType::Chat {
            return Err(Failure::new(
                ErrorKind::InvalidRequest,
                format!(
                    "`{}` is a model of type {}, not chat",
                    model.name,
                    model.model_type.as_str()
                ),
            ));
        }
        Ok(Route { index, model: Arc::clone(model) })
    }
}
