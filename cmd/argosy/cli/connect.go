package cli

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"

	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/membership/identity"
)

// connectionOptions say how the command line reaches a cluster. A flag goes
// before the environment, the environment before the configuration file.
type connectionOptions struct {
	servers    []string
	tls        identity.Files
	insecure   bool
	timeout    time.Duration
	configFile string
}

const defaultCallTimeout = 10 * time.Second

func (o *connectionOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringSliceVar(&o.servers, "server", nil, "servers to talk to, host[:port], several with commas (ARGOSY_SERVER; default 127.0.0.1:25551)")
	flags.StringVar(&o.tls.CA, "ca-pem", "", "certificate of the authority that signed all others (ARGOSY_CA_PEM)")
	flags.StringVar(&o.tls.Cert, "crt-pem", "", "own certificate (ARGOSY_CRT_PEM)")
	flags.StringVar(&o.tls.Key, "key-pem", "", "key of the own certificate (ARGOSY_KEY_PEM)")
	flags.BoolVar(&o.insecure, "insecure", false, "allow addresses beyond this machine without TLS (ARGOSY_INSECURE)")
	flags.DurationVar(&o.timeout, "request-timeout", defaultCallTimeout, "how long to try to get an answer from the servers")
	flags.StringVar(&o.configFile, "config", "", "configuration file (default $XDG_CONFIG_HOME/argosy/config.toml)")
}

// configuration is the file's content.
type configuration struct {
	Server   []string `toml:"server"`
	CA       string   `toml:"ca_pem"`
	Cert     string   `toml:"crt_pem"`
	Key      string   `toml:"key_pem"`
	Insecure bool     `toml:"insecure"`
}

// resolve fills in from the environment and the file what no flag said.
func (o *connectionOptions) resolve() error {
	file, err := o.readFile()
	if err != nil {
		return err
	}
	if len(o.servers) == 0 {
		if env := os.Getenv("ARGOSY_SERVER"); env != "" {
			o.servers = strings.Split(env, ",")
		} else {
			o.servers = file.Server
		}
	}
	if len(o.servers) == 0 {
		o.servers = []string{client.DefaultEndpoint}
	}
	if o.tls.Empty() {
		o.tls = identity.Files{CA: os.Getenv("ARGOSY_CA_PEM"), Cert: os.Getenv("ARGOSY_CRT_PEM"), Key: os.Getenv("ARGOSY_KEY_PEM")}
	}
	if o.tls.Empty() {
		o.tls = identity.Files{CA: file.CA, Cert: file.Cert, Key: file.Key}
	}
	if env := os.Getenv("ARGOSY_INSECURE"); env == "1" || strings.EqualFold(env, "true") {
		o.insecure = true
	}
	o.insecure = o.insecure || file.Insecure
	return nil
}

func (o *connectionOptions) readFile() (configuration, error) {
	var c configuration
	path, given := o.configFile, o.configFile != ""
	if !given {
		dir, err := os.UserConfigDir()
		if err != nil {
			// Without a home there is no file of ours either.
			return c, nil
		}
		path = filepath.Join(dir, "argosy", "config.toml")
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && !given {
		return c, nil
	}
	if err != nil {
		return c, usagef("read configuration: %w", err)
	}
	decoder := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return c, usagef("read configuration %s: %w%s", path, err, unknownKeys(err))
	}
	return c, nil
}

// unknownKeys names the keys that nobody knows, which the error does not.
func unknownKeys(err error) string {
	var unknown *toml.StrictMissingError
	if !errors.As(err, &unknown) {
		return ""
	}
	var keys []string
	for _, e := range unknown.Errors {
		line, _ := e.Position()
		keys = append(keys, fmt.Sprintf("%s in line %d", strings.Join(e.Key(), "."), line))
	}
	return ": " + strings.Join(keys, ", ") + " (known are server, ca_pem, crt_pem, key_pem, insecure)"
}

// connect makes the client.
func (o *connectionOptions) connect() (*client.Client, error) {
	if err := o.resolve(); err != nil {
		return nil, err
	}
	var tlsConfig *tls.Config
	if !o.tls.Empty() {
		if err := o.tls.Validate(); err != nil {
			return nil, &usageError{err}
		}
		own, err := identity.Load(o.tls)
		if err != nil {
			return nil, err
		}
		tlsConfig = own.ClientTLS(identity.ServerName)
	}
	if o.timeout <= 0 {
		return nil, usagef("--request-timeout is %v, it must be more than zero", o.timeout)
	}
	c, err := client.New(client.Config{Endpoints: o.servers, TLS: tlsConfig, Timeout: o.timeout})
	if err != nil {
		return nil, &usageError{err}
	}
	if err := o.checkReach(o.servers, tlsConfig != nil); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// checkReach refuses to talk to other machines in plain text unless that is
// what the user says.
func (o *connectionOptions) checkReach(servers []string, tls bool) error {
	for _, server := range servers {
		if !tls && !o.insecure && !identity.IsLoopback(server) {
			return usagef("talk to server %s: it is beyond this machine and there is no TLS: give --ca-pem, --crt-pem and --key-pem, or say --insecure if everybody on the way may command the cluster", server)
		}
	}
	return nil
}
