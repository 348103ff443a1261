package history

// Version is that of the records. A directory of another version is refused.
const Version = 1

// Action is what an operation does.
type Action string

// The actions.
const (
	// Apply creates or replaces objects, all or none.
	Apply Action = "apply"
	// Delete removes objects, all or none.
	Delete Action = "delete"
	// Get reads one object.
	Get Action = "get"
	// List reads all objects at one revision.
	List Action = "list"
	// Ask reads the status of the cluster; it says nothing of objects.
	Ask Action = "status"
	// Subscribe asks for an object and every change of it, Unsubscribe for no more of
	// them; Follow for what the asker itself prints, the old lines, too, and Unfollow for
	// no more of that. Only messages have these.
	Subscribe   Action = "subscribe"
	Unsubscribe Action = "unsubscribe"
	Follow      Action = "follow"
	Unfollow    Action = "unfollow"
)

// Outcome is how an operation ended, as far as its client can tell.
type Outcome string

// The outcomes.
const (
	// Done was acknowledged.
	Done Outcome = "ok"
	// Refused was certainly not carried out.
	Refused Outcome = "refused"
	// Unknown may have been carried out, at any time after its call.
	Unknown Outcome = "unknown"
)

// Operation is one call of a client and its answer.
type Operation struct {
	// Client is who called. A client makes one call after the other: its
	// operations are a session.
	Client string `json:"client"`
	// N counts the operations of the client, from 1.
	N int64 `json:"n"`
	// Action is what was asked for.
	Action Action `json:"action"`
	// Stale is set for a read that may be old.
	Stale bool `json:"stale,omitempty"`
	// Server is the name of the only server that was asked; empty when the client
	// was free to ask any.
	Server string `json:"server,omitempty"`
	// Request is the id of a write, in hexadecimal digits. A write that is repeated
	// has the id of the first try, and all else that was asked for, too.
	Request string `json:"request,omitempty"`
	// Objects are the names that it concerns, in their order; none for List.
	Objects []string `json:"objects,omitempty"`
	// Values are what an Apply sets them to, one for each object. No two writes of
	// a history set the same value.
	Values []string `json:"values,omitempty"`
	// Expected is the revision that every object had to have, 0 for any.
	Expected uint64 `json:"expected,omitempty"`
	// ExpectedState is the revision after which no object may have changed, 0 for
	// any.
	ExpectedState uint64 `json:"expected_state,omitempty"`
	// MustNotExist is set when no object was allowed to exist, IgnoreMissing when
	// a Delete took a missing one for deleted.
	MustNotExist  bool `json:"must_not_exist,omitempty"`
	IgnoreMissing bool `json:"ignore_missing,omitempty"`

	// Call and Return are when it was called and answered.
	Call   Micros `json:"call"`
	Return Micros `json:"return"`
	// Outcome is how it ended.
	Outcome Outcome `json:"outcome"`
	// Code is the name of the error's code (argosyv1.ErrorCode without its
	// prefix), Error its text.
	Code  string `json:"code,omitempty"`
	Error string `json:"error,omitempty"`

	// Revision is that of a write, or of the state that was read from; 0 for a read
	// whose answer does not tell, as that of an object that is not there may.
	Revision uint64 `json:"revision,omitempty"`
	// AnsweredBy is the id of the server that answered, Leader that of the leader
	// that it knew, Term the term that it was in.
	AnsweredBy string `json:"answered_by,omitempty"`
	Leader     string `json:"leader,omitempty"`
	Term       uint64 `json:"term,omitempty"`
	// Incarnation is that of the cluster.
	Incarnation string `json:"incarnation,omitempty"`
	// StalenessMs is how old a stale read said that it may be.
	StalenessMs uint64 `json:"staleness_ms,omitempty"`
	// Replayed is set when the answer was a remembered one.
	Replayed bool `json:"replayed,omitempty"`
	// Found is what a read returned: for Get the object, none when it was not
	// there; for List all objects of the load.
	Found []Object `json:"found,omitempty"`
	// Changes is what a write did to each object (argosyv1.ChangeKind without its
	// prefix, in lower case).
	Changes []string `json:"changes,omitempty"`
}

// Object is a desired object at one time.
type Object struct {
	// Name of the object.
	Name string `json:"name"`
	// Value that the write set which made it so.
	Value string `json:"value"`
	// Revision of its last change, Created that of its creation.
	Revision uint64 `json:"revision"`
	Created  uint64 `json:"created,omitempty"`
	// Uses are the configs that a workload uses, each as the name by which its
	// templates know it, "=" and its key, in their order. Its value is a template
	// then, and Rendered the value that it was rendered to, with which it runs.
	Uses     string `json:"uses,omitempty"`
	Rendered string `json:"rendered,omitempty"`
}

// Sight is a message of a watch.
type Sight struct {
	// Watcher is who watches.
	Watcher string `json:"watcher"`
	// N counts what the watcher saw, from 1.
	N int64 `json:"n"`
	// At is when it came.
	At Micros `json:"at"`
	// Server is the name of the server that was asked, empty when free.
	Server string `json:"server,omitempty"`
	// AnsweredBy is the id of the server that sent it.
	AnsweredBy string `json:"answered_by,omitempty"`
	// Resumed is set in the first message after the watch was begun again: the
	// revision that it was to go on after.
	Resumed uint64 `json:"resumed,omitempty"`
	// SnapshotBegin and SnapshotEnd bound a snapshot.
	SnapshotBegin bool `json:"snapshot_begin,omitempty"`
	SnapshotEnd   bool `json:"snapshot_end,omitempty"`
	// Revision up to which every change was shown.
	Revision uint64 `json:"revision"`
	// Incarnation is that of the cluster.
	Incarnation string `json:"incarnation,omitempty"`
	// Put are objects that were created or changed, Deleted names of those that
	// are gone.
	Put     []Object `json:"put,omitempty"`
	Deleted []string `json:"deleted,omitempty"`
	// States are observed states.
	States []State `json:"states,omitempty"`
}

// Event is an event that a subscriber was told of.
type Event struct {
	// Subscriber is who was told, Stream counts his calls from 1: each begins with
	// the state as it is.
	Subscriber string `json:"subscriber"`
	Stream     int64  `json:"stream"`
	// Workloads is set when he asked for workloads only, and for no configs.
	Workloads bool `json:"workloads,omitempty"`
	// N is the number of the event that it came with.
	N uint64 `json:"n"`
	// At is when it came.
	At Micros `json:"at"`
	// Revision up to which what was asked for is in it.
	Revision uint64 `json:"revision"`
	// Current is set when it is the state as it is, Restarted when it said that it
	// was started again from a snapshot.
	Current   bool `json:"current,omitempty"`
	Restarted bool `json:"restarted,omitempty"`
	// Put are objects of the load of which it told a value, without their
	// revisions; Removed are the paths of the fields that it said are gone.
	Put     []Object `json:"put,omitempty"`
	Removed []string `json:"removed,omitempty"`
	// Over is set in a record that is none of an event: the call ended, and
	// everything up to its revision had been told.
	Over bool `json:"over,omitempty"`
}

// State is the observed state of an instance of a workload.
type State struct {
	// Workload, instance id and agent.
	Workload string `json:"workload"`
	Instance string `json:"instance"`
	Agent    string `json:"agent"`
	// Text is the state as people read it, such as "Running(Ok)".
	Text string `json:"text"`
	// RuntimeID is its id at the runtime.
	RuntimeID string `json:"runtime_id,omitempty"`
}

// Beat is a sign of life that a workload of the load gives by itself.
type Beat struct {
	// Workload, Instance and Agent are what it was started as.
	Workload string `json:"workload"`
	Instance string `json:"instance"`
	Agent    string `json:"agent"`
	// Value is that of the write that asked for it.
	Value string `json:"value"`
	// PID of the process: two of one instance are two starts.
	PID int `json:"pid"`
	// What it is: BeatStart, BeatOn, BeatStop or BeatClash.
	What string `json:"what"`
	// Lines is how many lines it had printed.
	Lines int64 `json:"lines,omitempty"`
	// At is when.
	At Micros `json:"at"`
}

// What a Beat is.
const (
	// BeatStart is the first of a process.
	BeatStart = "start"
	// BeatOn is one of many.
	BeatOn = "beat"
	// BeatStop is the last, of a process that was told to end.
	BeatStop = "stop"
	// BeatClash is given instead of BeatStart by a process that found another one
	// of its workload running.
	BeatClash = "clash"
)

// Message is something that a process of the load said to its agent, or was told,
// by its control interface; or something that became of that.
type Message struct {
	// Workload, Instance and Agent are what it was started as, Value is that of the
	// write that asked for it, PID that of the process.
	Workload string `json:"workload"`
	Instance string `json:"instance"`
	Agent    string `json:"agent"`
	Value    string `json:"value"`
	PID      int    `json:"pid"`
	// N counts the messages of the process, from 1.
	N int64 `json:"n"`
	// At is when: before it was said, or after it was told.
	At Micros `json:"at"`
	// What it is: one of those below.
	What string `json:"what"`
	// Request is the id of a request, in it and in its answers. No two requests of a
	// history have the same, but for what goes on and its end.
	Request string `json:"request,omitempty"`
	// Action is what a request asks for: Apply, Get or one of those that only messages
	// have; an answer has it only when it accepts an end: Unsubscribe or Unfollow.
	Action Action `json:"action,omitempty"`
	// Object is the name of the only object that requests of this process concern;
	// nobody else writes it. Sets is what an Apply sets it to.
	Object string `json:"object,omitempty"`
	Sets   string `json:"sets,omitempty"`
	// Outcome is what an answer tells, Error the text of one that tells of an error,
	// or the reason for which the connection was closed.
	Outcome Outcome `json:"outcome,omitempty"`
	Error   string  `json:"error,omitempty"`
	// Found is the object in a state that was told, without its revision.
	Found []Object `json:"found,omitempty"`
	// Altered are the paths of the fields that an event says were added or changed,
	// Removed of those that are gone. The state as it is has neither.
	Altered []string `json:"altered,omitempty"`
	Removed []string `json:"removed,omitempty"`
	// Shown are lines of the log that an answer brought, Ends is set when it says that
	// the log has ended.
	Shown []Shown `json:"shown,omitempty"`
	Ends  bool    `json:"ends,omitempty"`
}

// Shown are lines of one process that came one after the other.
type Shown struct {
	// Value and PID are of the process, From and To the numbers of the lines.
	Value string `json:"value,omitempty"`
	PID   int    `json:"pid,omitempty"`
	From  int64  `json:"from,omitempty"`
	To    int64  `json:"to,omitempty"`
	// Foreign is the text of one line that no probe prints; there is nothing else then.
	Foreign string `json:"foreign,omitempty"`
}

// What a Message is.
const (
	// MessageHello was said to begin a session, MessageAccepted is the answer.
	MessageHello    = "hello"
	MessageAccepted = "accepted"
	// MessageAsked is a request, MessageUnsent says of one that the agent did not get
	// it: nobody had the pipe open.
	MessageAsked  = "asked"
	MessageUnsent = "unsent"
	// MessageAnswer is a response to a request: one of several to a subscription.
	MessageAnswer = "answer"
	// MessageClosed is the word of the agent that it has closed the connection,
	// MessageEnd the end of the pipe: no agent has it open.
	MessageClosed = "closed"
	MessageEnd    = "end"
	// MessageRest says that the process asks for nothing any more.
	MessageRest = "rest"
)

// LogRun is a run of lines of one process that a follower of logs was shown
// without interruption.
type LogRun struct {
	// Follower is who follows, Stream counts his calls from 1. All is set when he
	// asked for the whole log, and not for its last lines.
	Follower string `json:"follower"`
	Stream   int64  `json:"stream"`
	All      bool   `json:"all,omitempty"`
	// Workload, Instance, Agent, Value and PID are of the process that printed.
	Workload string `json:"workload"`
	Instance string `json:"instance"`
	Agent    string `json:"agent"`
	Value    string `json:"value"`
	PID      int    `json:"pid"`
	// From and To are the numbers of the first and the last line. Between two runs
	// of one process in one stream lines are missing, or came again or in another
	// order.
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// First and Last are when these came.
	First Micros `json:"first"`
	Last  Micros `json:"last"`
	// Until is when it was over: another line came, the log ended, the call broke,
	// or the follower went away.
	Until Micros `json:"until,omitempty"`
	// End is set when the log of the instance ended with this run, Why says why
	// when that was not the end of the instance, or why the call broke. Dropped is
	// set when the call ended without an error, and had not said that the log did.
	End     bool   `json:"end,omitempty"`
	Why     string `json:"why,omitempty"`
	Dropped bool   `json:"dropped,omitempty"`
	// Nothing is set when the call was shown nothing at all of the workload, nor told
	// anything of it: no process and no lines are known then, and First is when it
	// began, Last when it was over.
	Nothing bool `json:"nothing,omitempty"`
	// Foreign is the text of a line that no probe prints: the run is this line,
	// without numbers.
	Foreign string `json:"foreign,omitempty"`
}

// Fault is something that was done to the cluster.
type Fault struct {
	// Step is the number of the plan's step.
	Step int `json:"step"`
	// Kind is the name of the fault.
	Kind string `json:"kind"`
	// Targets are the names of the servers and agents that it struck.
	Targets []string `json:"targets,omitempty"`
	// Leader is the name of the leader at that moment, empty when none was known.
	Leader string `json:"leader,omitempty"`
	// Begun and Struck are when it was begun and in effect; Healing and Healed when
	// its end was begun and reached. Never healed is 0.
	Begun   Micros `json:"begun"`
	Struck  Micros `json:"struck"`
	Healing Micros `json:"healing,omitempty"`
	Healed  Micros `json:"healed,omitempty"`
	// Quorum is set when a majority of servers was untouched, up and connected all
	// the time, by this fault and all others that were in effect.
	Quorum bool `json:"quorum"`
	// Changes is how many changes of leader it may cost; see Calm.
	Changes int `json:"changes"`
	// Detail is what was done, with the values.
	Detail string `json:"detail,omitempty"`
	// Error is why it could not be done, or not be healed.
	Error string `json:"error,omitempty"`
	// Skipped is set when it was not done on purpose, and Error says why: it was
	// not available, or would have cost what the plan may not spend. A server that it
	// had killed until that was found is another fault, of the same step.
	Skipped bool `json:"skipped,omitempty"`
}

// Leadership is a line of a server's log that says that it leads, or no more.
type Leadership struct {
	// Server is its name, ID its id.
	Server string `json:"server"`
	ID     string `json:"id"`
	// Term of Raft.
	Term uint64 `json:"term"`
	// Gained tells whether it began or ended.
	Gained bool `json:"gained"`
	// Elected is set, and Gained is not, when it was elected only: a leadership
	// begins when an entry of its term is committed.
	Elected bool `json:"elected,omitempty"`
	// At is when.
	At Micros `json:"at"`
}

// Look is what was seen of an agent at a moment.
type Look struct {
	// Agent is its name.
	Agent string `json:"agent"`
	// At is when.
	At Micros `json:"at"`
	// Connected tells whether it has a session with the leader.
	Connected bool `json:"connected"`
	// Converged is the revision up to which it has done what it was told, Wanted
	// the one of the state at that moment.
	Converged uint64 `json:"converged"`
	Wanted    uint64 `json:"wanted"`
}

// Line is something that was found in a log and should not be there.
type Line struct {
	// Process is the name of whose log it is.
	Process string `json:"process"`
	// At is when it was printed, 0 when the line does not say.
	At Micros `json:"at,omitempty"`
	// Kind is "panic", "race" or "error".
	Kind string `json:"kind"`
	// Text is the line.
	Text string `json:"text"`
}

// Replica is what one server had in the end.
type Replica struct {
	// Server is its name, ID its id.
	Server string `json:"server"`
	ID     string `json:"id"`
	// Revision that it had applied, and the hash of its state there.
	Revision uint64 `json:"revision"`
	Hash     string `json:"hash"`
	// Objects are those of the load, by name.
	Objects []Object `json:"objects"`
	// First and Last are the indices between which its log was read, 0 when it was
	// not: what it holds of writes of the load there is in Entries.
	First   uint64  `json:"first,omitempty"`
	Last    uint64  `json:"last,omitempty"`
	Entries []Entry `json:"entries,omitempty"`
	// Hashes are those of its state at some indices, as its log alone leads to
	// them, by index.
	Hashes []IndexHash `json:"hashes,omitempty"`
	// Snapshots are the hashes of snapshots that were restored into an empty state
	// machine, beside the hashes that they say they have.
	Snapshots []SnapshotHash `json:"snapshots,omitempty"`
	// Damaged are parts of its data that said of themselves that they are damaged.
	Damaged []string `json:"damaged,omitempty"`
	// Error is why its data could not be read; nothing else is known then.
	Error string `json:"error,omitempty"`
}

// IndexHash is the hash that a state has at an index.
type IndexHash struct {
	Index uint64 `json:"index"`
	Hash  string `json:"hash"`
}

// Sample is what a process took of its machine at a moment.
type Sample struct {
	// Process is its name, PID that of its life.
	Process string `json:"process"`
	PID     int    `json:"pid"`
	// At is when.
	At Micros `json:"at"`
	// RSS is its memory and Disk what its data directory takes, in bytes; Goroutines
	// and Files are how many it has. 0 means not known.
	RSS        int64 `json:"rss,omitempty"`
	Disk       int64 `json:"disk,omitempty"`
	Goroutines int64 `json:"goroutines,omitempty"`
	Files      int64 `json:"files,omitempty"`
}

// Standing is what a server said of its state while it ran.
type Standing struct {
	// Server is its name, ID its id.
	Server string `json:"server"`
	ID     string `json:"id"`
	// At is when it was recorded.
	At Micros `json:"at"`
	// Index is the revision that it had applied, Hash that of its state there.
	Index uint64 `json:"index"`
	Hash  string `json:"hash"`
}

// Level is what a server knows of feature levels from a moment on, or that it has
// the cluster use one.
type Level struct {
	// Server is its name.
	Server string `json:"server"`
	// At is when.
	At Micros `json:"at"`
	// Knows is the highest feature level that it knows, since it was started then; 0
	// when this is of another thing.
	Knows uint32 `json:"knows,omitempty"`
	// Raised is the level that the cluster is at by an entry that it has written as
	// leader; 0 when this is of another thing.
	Raised uint32 `json:"raised,omitempty"`
}

// Stall is a time in which the machine did not do what it was asked for. It is
// not a fault of the plan, and nothing that the cluster could help.
type Stall struct {
	// Who had to wait: a server or an agent with all that runs on its host, or one
	// of StallTrial and StallDisk.
	Who string `json:"who"`
	// From and To are between which times it was.
	From Micros `json:"from"`
	To   Micros `json:"to"`
	// Micros is how long it waited in all between them.
	Micros int64 `json:"us"`
}

// Who is stalled beside servers and agents.
const (
	// StallTrial is the program that makes the trial, and the clients with it: it
	// slept, and was woken later than it had asked for.
	StallTrial = "the trial"
	// StallDisk is the disk that all the servers' disks are on: a flush took long.
	StallDisk = "the disk"
)

// Kinds of records that a trial may have promised; see Meta.Promised.
const (
	KindSights      = "sights"
	KindEvents      = "events"
	KindBeats       = "beats"
	KindMessages    = "messages"
	KindLogRuns     = "logruns"
	KindLeaderships = "leaderships"
	KindLooks       = "looks"
	KindReplicas    = "replicas"
	KindSamples     = "samples"
	KindStandings   = "standings"
	// KindLevels is promised where servers of several feature levels run together.
	KindLevels = "levels"
	// KindLines is promised by who has read the logs for lines that should not be
	// there: there may be none.
	KindLines = "lines"
	// KindStalls is promised by who would have noticed them: there may be none.
	KindStalls = "stalls"
)

// Entry is an entry of a replica's log that changed objects of the load.
type Entry struct {
	// Index and Term of Raft; the index is the revision. An entry that no server
	// carries out, because it was appended in another term than the one that it was
	// proposed for, is left out.
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"`
	// Sum is a hash of the entry as it was stored.
	Sum string `json:"sum"`
	// Requests are the ids of the writes in it, in hexadecimal digits, in the order
	// in which they were carried out.
	Requests []string `json:"requests,omitempty"`
	// Refused are the ids of the writes of which it says that they were refused and
	// are never to be carried out.
	Refused []string `json:"refused,omitempty"`
	// Put and Deleted are what it did in all, each object once.
	Put     []Object `json:"put,omitempty"`
	Deleted []string `json:"deleted,omitempty"`
}

// SnapshotHash is a snapshot that was restored into an empty state machine.
type SnapshotHash struct {
	// Index it is of.
	Index uint64 `json:"index"`
	// Said is the hash that it carries, Had the one that its state has.
	Said string `json:"said"`
	Had  string `json:"had"`
}

// Meta says what a trial was.
type Meta struct {
	// Version of the records.
	Version int `json:"version"`
	// Seed and Profile of its plan.
	Seed    uint64 `json:"seed"`
	Profile string `json:"profile"`
	// Commit of the source, Binary the SHA-256 of the program.
	Commit string `json:"commit,omitempty"`
	Binary string `json:"binary,omitempty"`
	// Planted is the name of the bug that was planted, empty for none.
	Planted string `json:"planted,omitempty"`
	// Simulated is set when nothing of it was real, the time least of all.
	Simulated bool `json:"simulated,omitempty"`
	// Started is the wall time at which it began (RFC 3339), Began the same
	// moment, and Ended its end, by the history's clock.
	Started string `json:"started"`
	Began   Micros `json:"began"`
	Ended   Micros `json:"ended"`
	// Quiet is when the last fault was healed and the cluster left alone, 0 when it
	// never was.
	Quiet Micros `json:"quiet,omitempty"`
	// Promised are the kinds of records that the trial makes besides operations and
	// faults. What rests on one that is not promised is not judged; one that is
	// promised and has no record could not be judged, which is no success.
	Promised []string `json:"promised,omitempty"`
	// Versions are those of the programs, when servers of several ran together.
	Versions []string `json:"versions,omitempty"`
	// Settings are those of the cluster, for people.
	Settings map[string]string `json:"settings,omitempty"`
	// Cores are those of the machine, Load how many processes that are not of the
	// trial had something to do, before it or after.
	Cores int     `json:"cores,omitempty"`
	Load  float64 `json:"load,omitempty"`
	// Whole is set last: nothing of the trial is missing.
	Whole bool `json:"whole"`
	// Error is why the trial itself failed, which is no judgement of the cluster.
	Error string `json:"error,omitempty"`
}
