package podman

import (
	"context"
	"fmt"
	"strings"

	"github.com/containers/podman/v5/pkg/bindings/images"
	podmanconfig "go.podman.io/common/pkg/config"
)

// pullFirst pulls the image before the container is created, when that is what
// was asked for. Mostly it is not: that the image is missing is then seen when
// creating fails.
func (p *Podman) pullFirst(ctx context.Context, plan *plan) (pulled bool, err error) {
	if plan.options.RootFS {
		return false, nil
	}
	switch plan.pull {
	case podmanconfig.PullPolicyNever:
		return false, nil
	case podmanconfig.PullPolicyMissing:
		// Whether what is there is of the right kind only pulling finds out.
		if o := plan.options; o.OS == "" && o.Arch == "" && o.Variant == "" {
			return false, nil
		}
	}
	return true, p.pull(ctx, plan)
}

func mayPull(plan *plan) bool {
	return !plan.options.RootFS && plan.pull != podmanconfig.PullPolicyNever
}

// pull pulls the image.
func (p *Podman) pull(ctx context.Context, plan *plan) error {
	o := plan.options
	options := new(images.PullOptions).WithQuiet(true).WithPolicy(plan.pull.String()).
		WithArch(o.Arch).WithOS(o.OS).WithVariant(o.Variant)
	if o.Authfile != "" {
		options.WithAuthfile(o.Authfile)
	}
	if o.TLSVerify.Present() {
		options.WithSkipTLSVerify(!o.TLSVerify.Value())
	}
	if o.Creds != "" {
		user, password, _ := strings.Cut(o.Creds, ":")
		options.WithUsername(user).WithPassword(password)
	}
	if o.retry > 0 {
		options.WithRetry(o.retry)
	}
	if o.retryDelay != "" {
		options.WithRetryDelay(o.retryDelay)
	}
	p.logger.Info("pulling image", "image", plan.image, "policy", plan.pull.String())
	return p.client.Do(ctx, p.cfg.PullTimeout, fmt.Sprintf("pull image %s", plan.image), func(ctx context.Context) error {
		_, err := images.Pull(ctx, plan.image, options)
		return err
	})
}
