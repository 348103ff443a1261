// Package keeper is the parent of all processes that one agent runs. It is a
// process of its own, detached from the agent, so that the agent may be killed,
// replaced and started again while everything it runs goes on; the next agent
// finds the processes, their exit codes and their logs here.
//
// It protects one invariant: at most one process runs for an instance name,
// whoever of agent and keeper is killed at whatever point.
//
// # Files and succession
//
// One keeper at a time holds the lock of its directory. What it knows is in a
// journal there: that a start was begun (with a random run id that the process
// finds in its environment as ARGOSY_RUN), the process's pid, its start time in
// clock ticks and the boot id, and how it ended. A keeper that follows one that
// was killed finds the processes again by pid, start time and boot id, or by
// their run id when the start had only begun. It is not their parent: it learns
// of their end by pidfd, and their exit code is not known any more. After a
// reboot nothing is running; what ran is reported as ended.
//
// Ends are in the journal and on the disk before anybody is told: a job that was
// reported finished is finished after a power cut too. One sync serves all ends
// that were found at once. Starts are not synced: a power cut undoes them anyway.
//
// # Processes
//
// Each has a session and a process group of its own, whose number is its pid.
// Stopping sends the stop signal to the group, and SIGKILL after the time-out.
// When the first process of an instance ends, what is left of its group is
// killed, before the pid is given back to the kernel and so may mean another
// process; the end is told when the group is empty, so that a restart finds ports
// and locks free. Processes that leave the group for a session of their own, as
// daemons do, are reaped (the keeper is a subreaper) but not hunted down.
//
// # Logs
//
// Processes write to two plain files, opened for appending, one for each stream.
// Pipes would give better times, but somebody has to read them: when the keeper
// dies, a process with a pipe gets SIGPIPE or, with a FIFO kept open, stands still
// once it is full. A file needs nobody. The keeper is told by inotify that a file
// has grown, copies the lines with time and stream into the instance's log
// (package logfile, two segments of 8 MiB by default) and gives the space in the
// file back by punching a hole. What this means:
//
//   - No line is lost or doubled when the keeper is killed, as the log itself says
//     how far the files were copied. Lines of the time without a keeper get the
//     time of the last of them.
//   - Within a stream the order is exact. Between the streams it is the order in
//     which the keeper was told, so lines within a fraction of a millisecond may
//     change places, as they may with podman.
//   - A process that prints faster than the keeper copies loses old lines once it
//     is 8 MiB ahead; a line in the log says how many bytes. The disk does not
//     fill, except while no keeper runs.
//   - `echo >/dev/stderr` truncates the file, as it is one. That is noticed, but
//     lines that were not copied yet are lost, and a line that is the same as all
//     that was there may not be seen; `echo >&2` is the right way to say it.
//
// # Size
//
// The keeper is the same binary as the agent, so what matters is what it adds: one
// goroutine for all ends, one for all logs, one for all found processes, and one
// for each connection; no open file per instance.
package keeper
