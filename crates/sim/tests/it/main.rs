//! The simulator itself: that it is the same each time, that the corpus holds, and that nothing designed is forgotten.

mod corpus;
mod lists;
mod planted;
mod same;
