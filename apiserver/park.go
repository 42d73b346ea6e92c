package apiserver

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// park goes on with a request whose client is going to wait, out of net/http's
// hands: the server's buffers and the stack of a connection, 20 KiB together, are
// given back, and of each waiter two small goroutines remain. Once the request is
// served and the client has begun the next, the server has its connection again.
//
// Handlers do not notice: h gets a writer of its own. left says when the client
// leaves. A connection that cannot be taken over is served where
// it is.
func (s *Server) park(w http.ResponseWriter, r *http.Request, h handler) error {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server == nil || r.ContentLength != 0 { // the going of a client that still sends is not noticed
		return h(w, r)
	}
	s.parked.Add(1) // a shutdown waits for those that net/http has first, and then for these
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.parked.Done()
		return h(w, r)
	}
	x, _ := r.Context().Value(exchangeKey{}).(*exchange)
	x.left = make(chan struct{})
	c, ok := conn.(*resumed)
	if !ok {
		c = &resumed{Conn: conn}
	}
	ahead, _ := buffered.Peek(buffered.Reader.Buffered()) // what it has it gives
	c.ahead = append(bytes.Clone(ahead), c.ahead...)
	p := &parked{
		conn: c, header: w.Header().Clone(), head: r.Method == http.MethodHead, last: r.Close,
		next: make(chan byte, 1), left: x.left,
	}
	go func() {
		defer s.parked.Done()
		s.serveParked(p, r, x, h)
		x.done()
		if p.last || !s.asksMore(p) || !p.handBack(server) {
			_ = p.conn.Close()
		}
	}()
	return nil
}

// serveParked runs a handler on a parked connection.
func (s *Server) serveParked(p *parked, r *http.Request, x *exchange, h handler) {
	if len(p.conn.ahead) == 0 { // who has more to ask will stay
		go p.listen()
	}
	defer func() {
		if recover() != nil { // http.ErrAbortHandler: half a response is out
			p.last = true
		}
	}()
	rec := &recorder{ResponseWriter: p, exchange: x}
	if err := guard(h, rec, r); err != nil {
		s.fail(rec, r, err)
	}
	_ = p.FlushError()
}

// parked is a connection out of net/http's hands, with the writer of one response.
type parked struct {
	conn   *resumed
	header http.Header
	out    *bufio.Writer // nil when all is sent: a waiter keeps no buffer
	head   bool          // the response has no body
	last   bool          // the connection ends with this response

	next chan byte     // gets the first byte of the client's next request
	left chan struct{} // closed when the client sends no more
}

// listen waits for the client to ask for more, or to leave.
func (p *parked) listen() {
	var next [1]byte
	if n, _ := p.conn.Read(next[:]); n > 0 {
		p.next <- next[0]
		return
	}
	close(p.left)
}

// left returns what is closed when the client of a request that is parked leaves,
// nil for any other. Who is still there to read the answer does not show: it is to
// be given, but not to be waited for.
func left(r *http.Request) <-chan struct{} {
	x, _ := r.Context().Value(exchangeKey{}).(*exchange)
	return x.left
}

// asksMore waits, once a request is served, for the client's next. The server is
// not to have the connection before: it would take it for a new one, on which a
// request is due at once, and which a shutdown waits for.
func (s *Server) asksMore(p *parked) bool {
	if len(p.conn.ahead) > 0 {
		return !s.isDraining()
	}
	if p.conn.SetReadDeadline(time.Now().Add(idleTimeout)) != nil {
		return false
	}
	select {
	case first := <-p.next:
		p.conn.ahead = []byte{first}
		return !s.isDraining()
	case <-p.left:
	case <-s.draining:
	}
	return false
}

// Header is the response's header.
func (p *parked) Header() http.Header { return p.header }

// SetWriteDeadline is what http.ResponseController looks for.
func (p *parked) SetWriteDeadline(t time.Time) error { return p.conn.SetWriteDeadline(t) }

// WriteHeader begins the response, for which the client has as long as for an
// event. One whose length is not told ends with the connection.
func (p *parked) WriteHeader(status int) {
	if p.header.Get("Content-Length") == "" && status != http.StatusNotModified {
		p.last = true
	}
	p.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	if p.last {
		p.header.Set("Connection", "close")
	}
	_ = p.SetWriteDeadline(time.Now().Add(eventTimeout)) // an error comes again when it is sent
	out := p.buffer()
	_, _ = fmt.Fprintf(out, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = p.header.Write(out)
	_, _ = out.WriteString("\r\n")
}

// Write adds to the response's body. What is large is sent from where it is: no
// client, however slowly it reads, has a copy of its own. FlushError sends the rest.
func (p *parked) Write(b []byte) (int, error) {
	if p.head {
		return len(b), nil
	}
	return p.buffer().Write(b)
}

func (p *parked) buffer() *bufio.Writer {
	if p.out == nil {
		p.out = bufio.NewWriter(p.conn)
	}
	return p.out
}

// FlushError sends what has been written. A client that takes it too slowly, or
// has gone, is an error.
func (p *parked) FlushError() error {
	if p.out == nil {
		return nil
	}
	err := p.out.Flush()
	p.out = nil
	if err != nil {
		p.last = true
	}
	return err
}

// handBack lets the server read the next request, which has begun; it returns false
// when the server takes no more.
func (p *parked) handBack(server *http.Server) bool {
	if p.conn.SetDeadline(time.Time{}) != nil {
		return false
	}
	l := &single{conn: p.conn}
	_ = server.Serve(l) // ends at once, with the error of a listener that has no more
	return l.accepted
}

// single is a listener of one connection.
type single struct {
	conn     net.Conn
	accepted bool
}

// Accept returns the connection, once.
func (l *single) Accept() (net.Conn, error) {
	if l.accepted {
		return nil, io.EOF
	}
	l.accepted = true
	return l.conn, nil
}

// Close leaves the connection alone.
func (l *single) Close() error { return nil }

// Addr is where the connection came in.
func (l *single) Addr() net.Addr { return l.conn.LocalAddr() }

// resumed is a connection of which something has been read already.
type resumed struct {
	net.Conn
	ahead []byte
}

// Read reads what had been read, and then the connection.
func (c *resumed) Read(b []byte) (int, error) {
	if len(c.ahead) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.ahead)
	c.ahead = c.ahead[n:]
	return n, nil
}

// CloseWrite is as in conn.
func (c *resumed) CloseWrite() error {
	if inner, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return inner.CloseWrite()
	}
	return nil
}
