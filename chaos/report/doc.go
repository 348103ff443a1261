// Package report tells people what came of a trial: one page that is read
// without a network, and a summary for programs.
//
// The invariant it protects: nobody takes a trial for better than it was. The
// page says first whether everything was judged and nothing was wrong; a history
// that was cut off, a checker that gave up, a fault that was never healed are said
// there, and none of them is "held".
//
// It is a function of what is on disk. The page of a trial of a hundred thousand
// operations is as large as that of one of a thousand: operations are told as
// figures of spans of time.
package report
