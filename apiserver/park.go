package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// park goes on with a request whose client is going to wait, out of net/http's
// hands: the server's buffers and the stack of a connection, 20 KiB together, are
// given back, and of each waiter two small goroutines remain. Once the request is
// served, the server has its connection again.
//
// Handlers do not notice: h gets a writer of its own, and a request whose context
// ends when the client goes. A connection that cannot be taken over is served
// where it is.
func (s *Server) park(w http.ResponseWriter, r *http.Request, h handler) error {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server == nil || r.ContentLength != 0 { // the going of a client that still sends is not noticed
		return h(w, r)
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return h(w, r)
	}
	x, _ := r.Context().Value(exchangeKey{}).(*exchange)
	x.parked = true
	ahead, _ := buffered.Peek(buffered.Reader.Buffered()) // what it has it gives
	p := &parked{conn: conn, header: w.Header().Clone(), ahead: bytes.Clone(ahead), head: r.Method == http.MethodHead, last: r.Close}
	s.parked.Go(func() {
		defer x.done()
		s.serveParked(p, r, x, h)
		if p.last || p.left || s.isDraining() || !p.handBack(server) {
			_ = p.conn.Close()
		}
	})
	return nil
}

// serveParked runs a handler on a parked connection.
func (s *Server) serveParked(p *parked, r *http.Request, x *exchange, h handler) {
	ctx, gone := context.WithCancel(context.WithoutCancel(r.Context()))
	defer gone()
	defer p.listen(gone)()
	defer func() {
		if recover() != nil { // http.ErrAbortHandler: half a response is out
			p.last = true
		}
	}()
	rec := &recorder{ResponseWriter: p, exchange: x}
	r = r.WithContext(ctx)
	if err := guard(h, rec, r); err != nil {
		s.fail(rec, r, err)
	}
	_ = p.FlushError()
}

// parked is a connection out of net/http's hands, with the writer of one response.
type parked struct {
	conn   net.Conn
	header http.Header
	out    bytes.Buffer
	head   bool // the response has no body
	last   bool // the connection ends with this response

	// What listen has heard, to be looked at when it has stopped.
	ahead []byte // what the client has sent of its next request
	left  bool   // the client has gone
}

// listen waits for the client to go, and then calls gone, until the function that
// it returns is called.
func (p *parked) listen(gone func()) (stop func()) {
	if len(p.ahead) > 0 {
		return func() {} // it has more to ask, and so will stay
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var next [1]byte
		n, err := p.conn.Read(next[:])
		p.ahead = append(p.ahead, next[:n]...)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			p.left = true
			gone()
		}
	}()
	return func() {
		_ = p.conn.SetReadDeadline(time.Unix(1, 0))
		<-done
	}
}

// Header is the response's header.
func (p *parked) Header() http.Header { return p.header }

// WriteHeader begins the response. One whose length is not told ends with the
// connection.
func (p *parked) WriteHeader(status int) {
	if p.header.Get("Content-Length") == "" && status != http.StatusNotModified {
		p.last = true
	}
	p.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	if p.last {
		p.header.Set("Connection", "close")
	}
	fmt.Fprintf(&p.out, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = p.header.Write(&p.out) // a buffer takes everything
	p.out.WriteString("\r\n")
}

// Write adds to the response's body; FlushError sends it.
func (p *parked) Write(b []byte) (int, error) {
	if p.head {
		return len(b), nil
	}
	return p.out.Write(b)
}

// FlushError sends what has been written. A client that takes it too slowly, or
// has gone, is an error.
func (p *parked) FlushError() error {
	defer func() { p.out = bytes.Buffer{} }() // a waiter keeps no buffer
	if err := p.conn.SetWriteDeadline(time.Now().Add(eventTimeout)); err != nil {
		p.last = true
		return err
	}
	if _, err := p.conn.Write(p.out.Bytes()); err != nil {
		p.last = true
		return err
	}
	return nil
}

// handBack lets the server read the next request; it returns false when the
// server takes no more.
func (p *parked) handBack(server *http.Server) bool {
	if p.conn.SetDeadline(time.Time{}) != nil {
		return false
	}
	l := &single{conn: p.conn}
	if len(p.ahead) > 0 {
		l.conn = &resumed{Conn: p.conn, rest: io.MultiReader(bytes.NewReader(p.ahead), p.conn)}
	}
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
	rest io.Reader
}

// Read reads what had been read, and then the connection.
func (c *resumed) Read(b []byte) (int, error) { return c.rest.Read(b) }
