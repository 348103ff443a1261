package cli

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/argosy-cluster/argosy/chaos/plan"
)

// planOptions say which plan is meant.
type planOptions struct {
	seed     uint64
	profile  string
	file     string
	duration time.Duration
}

func (o *planOptions) addFlags(flags *pflag.FlagSet) {
	flags.Uint64Var(&o.seed, "seed", 0, "number that the plan is made of (default: a random one)")
	flags.StringVar(&o.profile, "profile", plan.CI, "profile of the plan: "+strings.Join(profileNames(), ", "))
	flags.StringVar(&o.file, "plan", "", "file of a plan, instead of a seed and a profile")
	flags.DurationVar(&o.duration, "for", 0, "for how long faults are done (default: as long as the profile says)")
}

// plan reads or makes the plan that the flags mean.
func (o *planOptions) plan(flags *pflag.FlagSet) (*plan.Plan, error) {
	if o.file != "" {
		for _, name := range []string{"seed", "profile", "for"} {
			if flags.Changed(name) {
				return nil, fmt.Errorf("--plan and --%s contradict each other: the file says all", name)
			}
		}
		return plan.Read(o.file)
	}
	if !flags.Changed("seed") {
		o.seed = randomSeed()
	}
	return plan.MakeFor(o.seed, o.profile, o.duration)
}

func randomSeed() uint64 {
	var seed [8]byte
	// It never fails.
	_, _ = rand.Read(seed[:])
	// Short enough to be read out.
	return binary.LittleEndian.Uint64(seed[:]) % 1e9
}

func profileNames() []string {
	var names []string
	for _, profile := range plan.Profiles() {
		names = append(names, profile.Name)
	}
	return names
}

func (a *app) planCommand() *cobra.Command {
	var options planOptions
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Print the plan of a seed",
		Long: `Plan prints what would be done to a cluster, and when. The same seed and profile
always make the same plan. What is printed can be changed and given to
'argosy-chaos run --plan'.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := options.plan(cmd.Flags())
			if err != nil {
				return err
			}
			text, err := json.MarshalIndent(p, "", "  ")
			if err != nil {
				return fmt.Errorf("print plan: %w", err)
			}
			_, err = fmt.Fprintf(a.out, "%s\n", text)
			return err
		},
	}
	options.addFlags(cmd.Flags())
	return cmd
}
