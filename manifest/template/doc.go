// Package template renders the texts of a workload (agent, runtime
// configuration, files) with the configuration items that it names. It knows the
// part of Handlebars that manifests of Eclipse Ankaios use, in strict mode and
// without HTML escaping.
//
// It protects one invariant: what a template renders to is a function of its
// text and its values alone, the same on every server, and found within bounds
// of time and memory that a hostile template cannot move. An instance's id is
// the hash of a rendered text: two servers that render differently would restart
// the workload.
//
// # What there is
//
//   - Values: {{x}}, {{{x}}} and {{&x}} are the same. Paths: a.b, a/b, a.[0],
//     a.0, a.[any key], this, ./x, ../x, @root.x, and inside each @index, @key,
//     @first, @last, @../index.
//   - Blocks: if, unless, each, with, and the helpers that answer true or false;
//     {{else}} or {{^}}, and {{else if x}} with any block in place of if. Block
//     parameters: {{#each m as |value key|}}, {{#with x as |y|}}.
//   - Helpers: eq, ne, gt, gte, lt, lte, and, or, not, len, lookup; in
//     parentheses as an argument, too.
//   - Literals as arguments: "text", 'text', 5, 1.5, true, false, null.
//   - {{> indent content=x}} writes x with the white space that stands before the
//     tag in front of each line.
//   - Comments, {{~ ~}}, \{{. Tags of blocks, comments and partials that are
//     alone on a line take the line with them.
//
// # What unknown names do
//
// As with handlebars-rust in strict mode: an unknown name is an error, except
// that if, unless, and, or take it for false, and each and with go to their
// {{else}} when they have one. An empty text, list or map, 0, false and null are
// false as well; each of nothing renders nothing.
//
// # Where it differs from handlebars-rust 6.4
//
// What renders there may be an error here; what renders in both is equal, with
// the exceptions marked *.
//
//   - Maps go in the order of their keys; a map as a text is an error, not
//     "[object]".
//   - An unknown name in {{> indent content=x}} is an error, not an empty text,
//     and content may not be left out.
//   - Unknown helpers, blocks, partials and @names, and arguments in excess, are
//     errors of Parse, also in a branch that is never taken; so is what exceeds
//     a limit.
//   - * ../x and this.x mean a field of a context, never a block parameter, and
//     .. stops at the outermost values.
//   - * A bare name is a value, also when a helper has that name.
//   - * {{! text ~}} removes white space, and {{~! text}} is allowed.
//   - * A number with a fraction is written as Go does: 1, not 1.0.
//   - There are no lists or maps as literals, raw blocks, inline partials,
//     partial blocks, decorators, or log and raw helpers.
package template
