//! Policies made of closures.

use crate::policy::{
    Judgement, MutatingPolicy, Mutation, PolicyFault, PolicyRequest, ValidatingPolicy,
};

type Answer<T> = dyn Fn(&PolicyRequest<'_>) -> Result<T, PolicyFault> + Send + Sync;

/// A mutating policy made of a closure.
pub struct FnMutator {
    name: String,
    may_change: Vec<String>,
    answer: Box<Answer<Mutation>>,
}

impl FnMutator {
    /// A policy `name` that may change `may_change` and answers with `answer`.
    pub fn new(
        name: &str,
        may_change: &[&str],
        answer: impl Fn(&PolicyRequest<'_>) -> Result<Mutation, PolicyFault> + Send + Sync + 'static,
    ) -> Self {
        let may_change = may_change.iter().map(ToString::to_string).collect();
        Self {
            name: name.to_owned(),
            may_change,
            answer: Box::new(answer),
        }
    }
}

impl MutatingPolicy for FnMutator {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &'static str {
        "closure"
    }

    fn may_change(&self) -> &[String] {
        &self.may_change
    }

    fn mutate(&self, request: &PolicyRequest<'_>) -> Result<Mutation, PolicyFault> {
        (self.answer)(request)
    }
}

/// A validating policy made of a closure.
pub struct FnValidator {
    name: String,
    answer: Box<Answer<Judgement>>,
}

impl FnValidator {
    /// A policy `name` that answers with `answer`.
    pub fn new(
        name: &str,
        answer: impl Fn(&PolicyRequest<'_>) -> Result<Judgement, PolicyFault> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            answer: Box::new(answer),
        }
    }
}

impl ValidatingPolicy for FnValidator {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &'static str {
        "closure"
    }

    fn validate(&self, request: &PolicyRequest<'_>) -> Result<Judgement, PolicyFault> {
        (self.answer)(request)
    }
}
