package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/consensus/recovery"
)

// recoverOptions are how a recovery is to go.
type recoverOptions struct {
	dirs               []string
	dryRun, yes, force bool
}

func (a *app) operatorRecoverCommand() *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:   "recover --data-dir DIR [--data-dir DIR...]",
		Short: "Go on from one server after a quorum was lost for good",
		Long: `Recover makes a cluster of one server out of the newest of the data directories
that are left. It is for the case that more servers are lost for good than the
cluster can bear; while a quorum can still be started, start that instead.

Run it on the machine that has the directories, with their servers stopped. With
--dry-run it only tells what there is, what would be lost and what would come of
it. The recovered cluster is a new incarnation of the old one: what is left of
the old servers can never talk to it, whatever they do.`,
		Example: `  argosy operator recover --data-dir /var/lib/argosy --dry-run
  argosy operator recover --data-dir /var/lib/argosy`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.dirs) == 0 {
				return usagef("say with --data-dir which data directories are left")
			}
			return a.recoverCluster(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.dirs, "data-dir", nil, "data directory of a server that is left; may be given several times")
	flags.BoolVar(&o.dryRun, "dry-run", false, "tell what would be done, and change nothing")
	flags.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	flags.BoolVar(&o.force, "force", false, "recover though a quorum seems to be left")
	return cmd
}

func (a *app) recoverCluster(ctx context.Context, o recoverOptions) (err error) {
	var surveys []*recovery.Survey
	var problems []error
	for _, dir := range o.dirs {
		// Held until the end: nothing may change what was looked at.
		held, err := consensus.Hold(dir)
		if errors.Is(err, consensus.ErrLocked) {
			return fmt.Errorf("%w; a cluster whose servers run is not recovered: see 'argosy status'", err)
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		defer held.Close()
		survey, err := recovery.Examine(ctx, dir)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		surveys = append(surveys, survey)
	}
	for _, problem := range problems {
		fmt.Fprintln(a.err, "not usable:", problem)
	}
	if len(surveys) == 0 {
		return fmt.Errorf("recover: none of the data directories is usable; found a new cluster and restore the newest backup into it (argosy operator snapshot restore)")
	}
	newest, err := recovery.Newest(surveys)
	if err != nil {
		return err
	}
	a.tellSurveys(surveys)
	quorum := recovery.LookForQuorum(ctx, newest, surveys, recovery.SystemDial)
	if err := a.tellQuorum(newest, quorum, o.force); err != nil {
		return err
	}
	plan, err := recovery.NewPlan(newest)
	if err != nil {
		return err
	}
	a.tellPlan(newest, plan, o.dryRun)
	if o.dryRun {
		fmt.Fprintln(a.out, "\nThis was a rehearsal: nothing was changed.")
		return nil
	}
	if !o.yes {
		if err := a.agree(ctx, fmt.Sprintf("Recover cluster %s from %s?", newest.ClusterID, newest.Dir)); err != nil {
			return err
		}
	}
	if err := plan.CarryOut(); err != nil {
		return err
	}
	a.tellNext(newest, plan)
	return nil
}

// tellSurveys shows what there is, one directory after the other.
func (a *app) tellSurveys(surveys []*recovery.Survey) {
	for _, s := range surveys {
		fmt.Fprintf(a.out, "%s\n", s.Dir)
		line := func(name, format string, args ...any) {
			fmt.Fprintf(a.out, "  %-13s %s\n", name, fmt.Sprintf(format, args...))
		}
		line("server", "%s", s.ServerID)
		line("cluster", "%s, incarnation %s", s.ClusterID, argosyv1.DescribeIncarnation(s.Incarnation))
		vote := "no vote"
		if s.Vote != "" {
			vote = fmt.Sprintf("last vote in term %d for %s", s.VoteTerm, s.Vote)
		}
		line("term", "%d, %s", s.Term, vote)
		log := "empty"
		if s.LastIndex > 0 {
			log = fmt.Sprintf("entries %d to %d", s.FirstIndex, s.LastIndex)
		}
		line("log", "%s (%s)", log, s.LogStore)
		snapshot := "none"
		if s.SnapshotIndex > 0 {
			snapshot = fmt.Sprintf("up to entry %d of term %d", s.SnapshotIndex, s.SnapshotTerm)
		}
		line("snapshot", "%s", snapshot)
		line("newest entry", "%d of term %d", s.EndIndex, s.EndTerm)
		line("state", "%s, %s, revision %d, hash %.16s", plural(s.Workloads, "workload"), plural(s.Agents, "agent"), s.Revision, s.StateHash)
		for _, server := range s.Servers {
			kind := "voter"
			if !server.Voter {
				kind = "no vote"
			}
			if server.ID == s.ServerID {
				kind += ", this one"
			}
			line("knows", "%s at %s (%s)", server.ID, server.RaftAddress, kind)
		}
	}
	fmt.Fprintln(a.out)
}

// tellQuorum refuses to recover what can go on by itself.
func (a *app) tellQuorum(newest *recovery.Survey, q recovery.Quorum, force bool) error {
	var left []string
	for _, server := range q.Answering {
		left = append(left, fmt.Sprintf("server %s answers at %s", server.ID, server.RaftAddress))
	}
	for _, s := range q.AtHand {
		left = append(left, fmt.Sprintf("server %s can be started from %s", s.ServerID, s.Dir))
	}
	fmt.Fprintf(a.out, "Of %d voters %d are needed; left are %d: %s.\n", q.Voters, q.Needed, len(left), strings.Join(left, "; "))
	if !q.Left() {
		return nil
	}
	if force {
		fmt.Fprintln(a.out, "That is a quorum. It is left behind, because of --force.")
		return nil
	}
	return fmt.Errorf("recover cluster %s: a quorum is left: start the servers that do not run, with the data directories that they have, and nothing is lost; "+
		"if one of those that answer is not a server of this cluster, or is to be left behind, say --force", newest.ClusterID)
}

func (a *app) tellPlan(newest *recovery.Survey, plan *recovery.Plan, rehearsed bool) {
	would := "will"
	if rehearsed {
		would = "would"
	}
	fmt.Fprintf(a.out, "\nThe newest is %s: it ends at entry %d of term %d.\n", newest.Dir, newest.EndIndex, newest.EndTerm)
	fmt.Fprintf(a.out, "Lost is what the other servers had after that, if they had anything: it cannot be told from here.\n")
	if newest.EndIndex > newest.SnapshotIndex {
		fmt.Fprintf(a.out, "Kept is everything up to it, also what may not have been acknowledged: entries %d to %d.\n", newest.SnapshotIndex+1, newest.EndIndex)
	}
	fmt.Fprintf(a.out, "Server %s %s go on alone in incarnation %s, with %s and %s, from term %d and revision %d on.\n",
		newest.ServerID, would, plan.Incarnation, plural(newest.Workloads, "workload"), plural(newest.Agents, "agent"), plan.Term, plan.Revision)
	fmt.Fprintf(a.out, "What it has now %s be kept in %s.\n", would, plan.Backup)
}

func (a *app) tellNext(newest *recovery.Survey, plan *recovery.Plan) {
	fmt.Fprintf(a.out, `
Recovered. Now:
  1. Start the server of %s as ever; it leads at once.
  2. Empty the data directories of all other servers, and start them with --join:
     they join as new ones. With what they have now they would be refused.
  3. Agents need nothing: they follow the new incarnation by themselves.
  4. Look at 'argosy status'. When all is well, %s may be deleted.
`, newest.Dir, plan.Backup)
}

// agree asks a person. Where there is none, somebody must have said --yes.
func (a *app) agree(ctx context.Context, question string) error {
	if !isTerminal(a.in) {
		return usagef("nobody can be asked here: look with --dry-run first, then say --yes")
	}
	answer, err := a.ask(ctx, "\n"+question+" [y/N] ")
	switch {
	case err != nil:
		return err
	case answer == "y", answer == "yes":
		return nil
	}
	return fmt.Errorf("nothing was changed: %q is no yes", answer)
}
