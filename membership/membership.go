package membership

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Membership is this node's part in the gossip of its cluster. Its methods may
// be called by several goroutines; none of them waits for the network, but for
// Close.
type Membership struct {
	config    Config
	log       *slog.Logger
	journal   *journal
	directory *directory
	delegate  *delegate
	list      *memberlist.Memberlist

	cancel  context.CancelFunc
	running sync.WaitGroup
	trouble trouble
	// messages has the latest message to send to all members.
	messages chan *argosyv1.GossipMessage

	// lock is held while the own metadata changes and is told, so that the last
	// change is the last one told.
	lock   sync.Mutex
	self   metadata
	closed bool
}

// Open binds to its address and begins to gossip. Joining goes on in the
// background: a node that can reach nobody is a member, alone.
func Open(config Config) (*Membership, error) {
	config = config.withDefaults()
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("open membership: %w", err)
	}
	m, err := open(config)
	if err != nil {
		return nil, fmt.Errorf("open membership: %w", err)
	}
	return m, nil
}

func open(config Config) (*Membership, error) {
	self := metadata{generation: time.Now().UnixNano(), member: config.Self}
	self.member.ProtocolMin = cmp.Or(self.member.ProtocolMin, argosyv1.ProtocolMin)
	self.member.ProtocolMax = cmp.Or(self.member.ProtocolMax, argosyv1.ProtocolMax)
	encoded, err := self.checked()
	if err != nil {
		return nil, err
	}
	settings := config.memberlistConfig()
	if config.KeyringFile != "" {
		if settings.Keyring, err = loadKeyring(config.KeyringFile); err != nil {
			return nil, err
		}
	}

	ctx, cancel := context.WithCancel(context.Background())
	journal := openJournal(config.Logger.With("cluster", config.Cluster))
	m := &Membership{
		config:    config,
		log:       slog.New(journal),
		journal:   journal,
		directory: newDirectory(settings.Name, self.member.ClusterID, config.RememberDead, slog.New(journal)),
		cancel:    cancel,
		messages:  make(chan *argosyv1.GossipMessage, 1),
		self:      self,
	}
	m.directory.setCluster(self.member.ClusterID, self.member.Incarnation)
	m.delegate = &delegate{directory: m.directory, log: m.log}
	m.delegate.metadata.Store(&encoded)
	settings.Delegate, settings.Events = m.delegate, m.delegate
	settings.Alive, settings.Merge, settings.Conflict = m.delegate, m.delegate, m.delegate
	settings.Logger = log.New(journal, "", 0)

	if m.list, err = m.start(ctx, settings); err != nil {
		cancel()
		journal.close()
		return nil, err
	}
	m.running.Go(func() { m.sendMessages(ctx) })
	m.running.Go(func() { m.newJoiner().run(ctx) })
	return m, nil
}

// start binds and begins to gossip.
func (m *Membership) start(ctx context.Context, settings *memberlist.Config) (*memberlist.Memberlist, error) {
	bind, err := bindAddress(ctx, m.config.BindAddress, m.config.Resolver)
	if err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	transport, err := listen(ctx, m.config.Network, bind, m.log)
	if err != nil {
		return nil, err
	}
	bound := transport.address()
	advertise, err := advertiseAddress(ctx, m.config.AdvertiseAddress, bound, m.config.Resolver)
	if err != nil {
		return nil, errors.Join(err, transport.Shutdown())
	}
	transport.start(advertise)
	settings.Transport = transport
	settings.BindAddr, settings.BindPort = bound.Addr().String(), int(bound.Port())
	settings.AdvertiseAddr, settings.AdvertisePort = advertise.Addr().String(), int(advertise.Port())
	list, err := memberlist.Create(settings)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start gossip at %s: %w", bound, err), transport.Shutdown())
	}
	m.log.Info("gossip started", "bind", bound.String(), "advertise", advertise.String(),
		"node", settings.Name, "encrypted", settings.Keyring != nil)
	if !bound.Addr().IsLoopback() && settings.Keyring == nil {
		m.log.Warn("gossip is neither encrypted nor authenticated: everybody who reaches its port can disturb it; give --keyring-file",
			"bind", bound.String())
	}
	return list, nil
}

func (m *Membership) newJoiner() *joiner {
	j := &joiner{
		directory: m.directory,
		resolver:  m.config.Resolver,
		log:       m.log,
		role:      m.config.Self.Role,
		trouble:   &m.trouble,
		join: func(address netip.AddrPort) error {
			_, err := m.list.Join([]string{address.String()})
			return oneError(err)
		},
	}
	for _, text := range m.config.Join {
		// Validate has read them all.
		if endpoint, err := parseSeed(text); err == nil {
			j.seeds = append(j.seeds, &seed{endpoint: endpoint})
		}
	}
	return j
}

// oneError unpacks the list of one that memberlist makes of an error.
func oneError(err error) error {
	var several interface{ WrappedErrors() []error }
	if errors.As(err, &several) && len(several.WrappedErrors()) == 1 {
		return several.WrappedErrors()[0]
	}
	return err
}

// Self returns this member as the others know it.
func (m *Membership) Self() Member {
	name := m.config.Self.nodeName()
	members := m.directory.list()
	i := slices.IndexFunc(members, func(member Member) bool { return member.nodeName() == name })
	if i < 0 {
		return m.config.Self
	}
	return members[i]
}

// Members returns all members, this one included, servers first and then by id.
// Members that died or left are among them for a while.
func (m *Membership) Members() []Member { return m.directory.list() }

// Leader returns the server with the highest term that any server has ever
// announced, that term, and false when there was none. It is a hint: the server
// may have died since (Alive), or have stopped leading (LeadingTerm is not the
// term any more), and it is then still returned, until another one announces a
// higher term.
func (m *Membership) Leader() (Member, uint64, bool) { return m.directory.current() }

// Rival returns who claimed last to be this member, at another address. Most
// often that is its own former process, which gossip has not forgotten yet.
func (m *Membership) Rival() (Member, bool) { return m.directory.claimed() }

// Watch returns a channel that gets a value after Members or Leader may have
// changed since the last value was taken, and a function that ends this. The
// channel is never closed.
func (m *Membership) Watch() (<-chan struct{}, func()) { return m.directory.watch() }

// SetSelf changes what this member tells of itself. Its id, role, cluster and
// what it leads in stay what they are. Nothing changes when the result is too
// long to be told.
func (m *Membership) SetSelf(change func(*Member)) error {
	return m.update(func(self *metadata) {
		before := self.member
		change(&self.member)
		self.member.ID, self.member.Role = before.ID, before.Role
		self.member.ClusterID, self.member.Incarnation = before.ClusterID, before.Incarnation
	})
}

// SetCluster tells and takes to heart which incarnation of which cluster this
// member belongs to: members of other ones are refused from now on, and not
// shown any more. An agent goes with a higher incarnation by itself. An id of
// more than 64 bytes is not taken, which is logged.
func (m *Membership) SetCluster(id, incarnation string) {
	if err := m.update(func(self *metadata) {
		self.member.ClusterID = id
		if self.member.Role == RoleServer {
			self.member.Incarnation = incarnation
		}
	}); err != nil {
		m.log.Error("cluster id was not taken", "id", id, "err", err)
		return
	}
	m.directory.setCluster(id, incarnation)
}

// SetLeading tells that this server leads in a term, to every live member by a
// datagram of its own as well as by gossip; 0 that it leads no more.
func (m *Membership) SetLeading(term uint64) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if err := m.tell(func(self *metadata) {
		self.leading = term > 0
		self.term = max(term, self.term)
	}); err != nil || term == 0 {
		return // When closed, the others hear that this server is gone.
	}
	select {
	case <-m.messages: // An older one was not sent yet.
	default:
	}
	m.messages <- m.message(&argosyv1.GossipMessage{Content: &argosyv1.GossipMessage_Leader{
		Leader: &argosyv1.LeaderAnnouncement{
			Term:       term,
			ServerId:   m.self.member.ID,
			ApiAddress: m.self.member.APIAddress,
		},
	}})
}

func (m *Membership) update(change func(*metadata)) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.tell(change)
}

// tell changes the own metadata and tells it. The lock is held.
func (m *Membership) tell(change func(*metadata)) error {
	if m.closed {
		return ErrClosed
	}
	next := m.self
	change(&next)
	encoded, err := next.checked()
	if err != nil {
		return fmt.Errorf("change what this member tells: %w", err)
	}
	m.self = next
	if bytes.Equal(encoded, *m.delegate.metadata.Load()) {
		return nil
	}
	m.delegate.metadata.Store(&encoded)
	// What is new is known to the directory and queued for gossip when the call
	// begins to wait. Its error only says that it did not wait for more.
	_ = m.list.UpdateNode(time.Nanosecond)
	return nil
}

// message fills in what all messages have.
func (m *Membership) message(message *argosyv1.GossipMessage) *argosyv1.GossipMessage {
	message.Format = metadataFormat
	message.ClusterId = m.self.member.ClusterID
	if m.self.member.Role == RoleServer {
		message.Incarnation = m.self.member.Incarnation
	}
	return message
}

func (m *Membership) sendMessages(ctx context.Context) {
	for {
		select {
		case message := <-m.messages:
			m.sendAll(message)
		case <-ctx.Done():
			return
		}
	}
}

// sendAll sends a datagram to every live member.
func (m *Membership) sendAll(message *argosyv1.GossipMessage) {
	data, err := proto.Marshal(message)
	if err != nil {
		m.log.Error("gossip message was not sent", "err", err)
		return
	}
	for _, node := range m.directory.targets() {
		if err := m.list.SendBestEffort(node, data); err != nil {
			m.log.Debug("datagram was not sent", "node", node.Name, "address", node.Address(), "err", err)
		}
	}
}

// Close leaves and stops. The others hear of it at once; Close waits until
// memberlist has told them as well, but no longer than Config.LeaveTimeout. It
// may be called twice.
func (m *Membership) Close() error {
	m.lock.Lock()
	if m.closed {
		m.lock.Unlock()
		m.running.Wait()
		return nil
	}
	m.closed = true
	farewell := m.message(&argosyv1.GossipMessage{Content: &argosyv1.GossipMessage_Farewell{
		Farewell: &argosyv1.Farewell{Node: m.self.member.nodeName(), Generation: m.self.generation},
	}})
	m.lock.Unlock()

	m.cancel()
	m.sendAll(farewell)
	if err := m.list.Leave(m.config.LeaveTimeout); err != nil {
		m.log.Debug("left without waiting for the others", "err", err)
	}
	return m.stop()
}

// stop ends what runs, without a word to the others.
func (m *Membership) stop() error {
	m.cancel()
	err := m.list.Shutdown()
	m.running.Wait()
	m.journal.close()
	if err != nil {
		return fmt.Errorf("stop gossip: %w", err)
	}
	return nil
}
