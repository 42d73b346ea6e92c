package apiserver

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"

	"github.com/go-logr/logr"
)

// listener accepts connections whose answers are all JSON, a bounded number of
// them at a time.
type listener struct {
	net.Listener
	log  logr.Logger
	free chan struct{} // holds a token for each connection that may be opened; nil for no bound
}

// newListener bounds the connections of inner when most is positive.
func newListener(inner net.Listener, most int, log logr.Logger) *listener {
	l := &listener{Listener: inner, log: log}
	if most > 0 {
		l.free = make(chan struct{}, most)
	}
	return l
}

// Accept waits for a connection, and before that, when there are as many as may
// be, for one of them to end.
func (l *listener) Accept() (net.Conn, error) {
	if l.free != nil {
		l.free <- struct{}{}
	}
	inner, err := l.Listener.Accept()
	c := &conn{Conn: inner, log: l.log, closed: sync.OnceFunc(func() {
		if l.free != nil {
			<-l.free
		}
	})}
	if err != nil {
		c.closed()
		return nil, err
	}
	return c, nil
}

// conn is a connection on which net/http's own answers, which it gives to what is
// no sound HTTP before any handler sees it, are made JSON as all others are.
type conn struct {
	net.Conn
	log    logr.Logger
	closed func()
}

// Close closes the connection and makes room for another.
func (c *conn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

// CloseWrite is what net/http looks for to let a client read an answer before the
// connection is gone.
func (c *conn) CloseWrite() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return nil
}

// Write writes to the client.
func (c *conn) Write(b []byte) (int, error) {
	status, ok := statusOfPlainAnswer(b)
	if !ok {
		return c.Conn.Write(b)
	}
	f, id := plainAnswer(status).failure(), mintID()
	body := errorBody(f)
	_, err := fmt.Fprintf(c.Conn, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nX-Request-Id: %s\r\nCache-Control: private, no-cache\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), jsonType, len(body), id, body)
	c.log.Info("request served", "requestID", id, "status", status, "errorCode", f.errorCode)
	return len(b), err
}

// plainAnswer is the cause of an answer that net/http gives by itself.
func plainAnswer(status int) cause {
	if status == http.StatusRequestHeaderFieldsTooLarge {
		return headersTooLarge
	}
	return cause{status, badRequest.errorCode} // 400, 417, 501 or 505
}

// These mark the answers of net/http's own (server.go of Go 1.26): it writes them
// in one piece, and handlers never write such.
var (
	answerLine   = []byte("HTTP/1.1 ")
	plainHeaders = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")
	expectation  = []byte("HTTP/1.1 417 Expectation Failed\r\n")
)

// statusOfPlainAnswer says whether b is an answer of net/http's own, and its
// status.
func statusOfPlainAnswer(b []byte) (int, bool) {
	if bytes.HasPrefix(b, expectation) {
		return http.StatusExpectationFailed, true
	}
	line, rest, _ := bytes.Cut(b, []byte("\r\n"))
	code, ok := bytes.CutPrefix(line, answerLine)
	if !ok || len(code) < 3 || !bytes.HasPrefix(rest, plainHeaders[2:]) {
		return 0, false
	}
	status, err := strconv.Atoi(string(code[:3]))
	return status, err == nil
}
