//! The examples that the vendors' own documents give, in other words: each is understood, and each
//! kind of upstream is told of it, or it is said why not.

mod answers;
mod requests;
mod shown;
mod streams;
mod vectors;
