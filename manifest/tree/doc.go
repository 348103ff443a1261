// Package tree holds the state of a cluster as users see it: named fields, lists
// and scalars, the shape that masks select from and that YAML and JSON show.
//
// It protects one invariant: a node never changes once it was handed out. A
// change makes new nodes along its path and shares the rest with the tree before
// it, so that two states that follow one another differ in a handful of nodes, and
// whoever compares them (Changed) passes by everything that they share. Whatever
// the order of the changes that led to it, equal content has the same shape, so
// comparing is as cheap for whoever lost track of what is shared: it is linear.
//
// A map holds its entries in a treap whose priorities are hashes of the names,
// with a seed of this process: nobody outside can choose names that make it deep.
// Entries come in the order of their names.
//
// Scalars are texts, but for counts (what agents report of their load), which are
// kept apart so that they are written without quotes. Other things that YAML and
// JSON know, such as true or 1.5, are read as the text that was written; null is
// read as if the field were not there, and in a list as the empty text.
//
// Reading bounds size, depth, and what aliases stand for; aliases are shared, not
// expanded. It is meant for the files of whoever reads them: the YAML parser needs
// more than linear time for some texts.
package tree
