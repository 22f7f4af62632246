// A web server that serves one client at a time.
//
// Its parts are in the order of the Rust stages: the start, accepting connections, one connection, the
// request, the handler, files, the response, and the log.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	name    = "stage1_go"
	version = "1.0"
)

// The start: reads the command line, opens the document root and the listening socket, and announces
// the address.

// options is the command line.
type options struct {
	listen  netip.AddrPort
	root    string
	timeout time.Duration
	verbose bool
}

// main opens everything that a server needs, then serves until the program is stopped.
func main() {
	options := parseOptions()
	shownRoot := options.root
	options.root = canonicalizeRoot(options.root)
	// Clients wait in the backlog of this socket until they are accepted.
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(options.listen))
	if err != nil {
		fail("Cannot listen on %v. Choose another address with `--listen`: %v", options.listen, reason(err))
	}
	fmt.Printf("Serving %s at http://%v/\n", shownRoot, listener.Addr())
	serve(listener, &options)
}

// parseOptions parses the command line. A usage error exits with 2.
func parseOptions() options {
	options := options{}
	listen := flag.String("listen", "127.0.0.1:7788", "where to listen, `ADDR:PORT`; port 0 picks a free one")
	flag.StringVar(&options.root, "root", "html", "the folder `DIR`, whose files are served")
	seconds := flag.Int("timeout", 5, "how many `SECONDS` to wait for a client")
	flag.BoolVar(&options.verbose, "verbose", false, "show the head of every request as it came")
	showVersion := flag.Bool("version", false, "show the version")
	// By itself, the package writes its help to standard error.
	flag.CommandLine.Init(name, flag.ContinueOnError)
	flag.CommandLine.SetOutput(io.Discard)
	err := flag.CommandLine.Parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		usage()
		os.Exit(0)
	}
	if err != nil {
		refuseUsage("%s", strings.ReplaceAll(err.Error(), " -", " --"))
	}
	if *showVersion {
		fmt.Println(name, version)
		os.Exit(0)
	}
	address, err := netip.ParseAddrPort(*listen)
	if err != nil {
		refuseUsage("invalid value `%s` for --listen", *listen)
	}
	if *seconds < 1 || *seconds > 86_400 {
		refuseUsage("invalid value `%d` for --timeout", *seconds)
	}
	if flag.NArg() > 0 {
		refuseUsage("unknown argument `%s`", flag.Arg(0))
	}
	options.listen = address
	options.timeout = time.Duration(*seconds) * time.Second
	return options
}

// usage writes the help. The package shows options with one dash, and accepts two.
func usage() {
	fmt.Print("A web server that serves one client at a time.\n\n")
	flag.VisitAll(func(option *flag.Flag) {
		value, text := flag.UnquoteUsage(option)
		fmt.Printf("  --%-18s %s [%s]\n", option.Name+" "+value, text, option.DefValue)
	})
}

func refuseUsage(format string, values ...any) {
	logLine("%s: "+format, append([]any{name}, values...)...)
	os.Exit(2)
}

// fail ends the program, which can't start.
func fail(format string, values ...any) {
	logLine("%s: "+format, append([]any{name}, values...)...)
	os.Exit(1)
}

// reason is what the system says, without what Go adds.
func reason(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// How connections are accepted: one after the other.

// retryDelay is how long to pause when the system has nothing left for us, so that the loop doesn't spin.
const retryDelay = 50 * time.Millisecond

// serve accepts and serves clients until the program is stopped.
func serve(listener *net.TCPListener, options *options) {
	for {
		client, err := listener.AcceptTCP()
		if err != nil {
			logLine("cannot accept a client: %v", reason(err))
			time.Sleep(retryDelay)
			continue
		}
		serveClient(client, options)
	}
}

// One connection: read the head before its deadline, respond, close gently, log.

const (
	// maxLine is the longest request line, in bytes, without its line ending.
	maxLine = 8_000
	// maxHead is the longest head, in bytes: request line, header fields and empty line.
	maxHead = 16 * 1024
	// chunkSize is how much of a file is held in memory at a time, in bytes.
	chunkSize = 64 * 1024
)

// serveClient serves one client. Whatever goes wrong in here ends only this connection.
func serveClient(client *net.TCPConn, options *options) {
	head, status := readHead(client, time.Now().Add(options.timeout))
	if head == "" {
		client.Close()
		return
	}
	var request *request
	if status == 0 {
		request, status = parse(head)
	}
	var response *response
	if status == 0 {
		response = respond(request, options.root)
	} else {
		response = errorResponse(status)
	}
	bodyMayFollow := request == nil || request.method != "GET"
	send(client, response, options.timeout, bodyMayFollow)
	client.Close()
	// Writing to the log may block: the client has its response by then.
	if options.verbose {
		logHead(head)
	}
	logRequest(client.RemoteAddr(), request, response)
}

var (
	emptyLines = regexp.MustCompile(`^(\r?\n)+`)
	headEnd    = regexp.MustCompile(`\n\r?\n`)
)

// readHead reads up to the empty line that ends a head. It also returns the status code that refuses it,
// or 0. The head is empty if nobody waits for a response.
func readHead(client *net.TCPConn, deadline time.Time) (string, int) {
	client.SetReadDeadline(deadline)
	buffer := make([]byte, chunkSize)
	received := ""
	for {
		// Empty lines before the request line are ignored (RFC 9112, 2.2).
		received = emptyLines.ReplaceAllString(received, "")
		head, end := received, headEnd.FindStringIndex(received)
		if end != nil {
			head = received[:end[1]]
		}
		switch {
		case len(firstLine(head)) > maxLine:
			return head, 414
		case len(head) > maxHead:
			return head, 431
		case end != nil:
			return head, 0
		}
		length, err := client.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) && head != "" {
			return head, 408
		}
		// An incomplete request is ignored (RFC 9112, 8).
		if err != nil {
			return "", 0
		}
		received += string(buffer[:length])
	}
}

// send sends a response and ends the connection.
func send(client *net.TCPConn, response *response, timeout time.Duration, bodyMayFollow bool) {
	defer response.close()
	for !response.isComplete {
		// Each chunk has its own deadline: a client may be slow, but it must not stop.
		client.SetWriteDeadline(time.Now().Add(timeout))
		if response.writeChunk(client) != nil {
			// The client must see that something is missing. An orderly end would hide it, so close(2)
			// must reset the connection.
			client.SetLinger(0)
			return
		}
	}
	linger(client, timeout, bodyMayFollow)
}

// linger stops sending after a complete response. If bytes from the client were still unread, close(2)
// would reset the connection, and the response could be lost on its way (RFC 9112, 9.6). So this reads
// until the client closes.
func linger(client *net.TCPConn, timeout time.Duration, bodyMayFollow bool) {
	client.CloseWrite()
	if bodyMayFollow || hasUnreadInput(client) {
		client.SetReadDeadline(time.Now().Add(timeout))
		// Whatever this returns, the connection ends now.
		io.Copy(io.Discard, client)
	}
}

// hasUnreadInput is whether the client has sent more than was read. It doesn't wait.
func hasUnreadInput(client *net.TCPConn) bool {
	raw, err := client.SyscallConn()
	if err != nil {
		return false
	}
	length := 0
	client.SetReadDeadline(time.Time{})
	raw.Read(func(descriptor uintptr) bool {
		flags := syscall.MSG_PEEK | syscall.MSG_DONTWAIT
		length, _, _ = syscall.Recvfrom(int(descriptor), make([]byte, 1), flags)
		return true
	})
	return length > 0
}

// The request: from bytes to what the client asks for.

// requestLine is METHOD SP request-target SP HTTP-version (RFC 9112, 3). A method is a token (RFC 9110,
// 5.6.2). A target is `/path?query`, or `http://host/path?query`, which is what proxies get (RFC 9112,
// 3.2). It has neither a bare CR (RFC 9112, 2.2) nor a fragment, which a browser keeps to itself.
var requestLine = regexp.MustCompile("^([-!#$%&'*+.^_`|~0-9A-Za-z]+)" +
	` ((?s:((?i:http)://[^ \r#/?]+)?(/[^ \r#?]*)?(?:\?[^ \r#]*)?))` +
	` HTTP/([0-9])\.[0-9]$`)

// request is what a client asks for.
type request struct {
	method string
	// The request target as it came.
	target string
	// The path in the target, without the query.
	path string
}

// parse parses a head. It also returns the status code that refuses it, or 0.
func parse(head string) (*request, int) {
	parts := requestLine.FindStringSubmatch(firstLine(head))
	if parts == nil {
		return nil, 400
	}
	method, target, host, path, major := parts[1], parts[2], parts[3], parts[4], parts[5]
	// Every HTTP/1 client understands HTTP/1.1, whatever its minor version (RFC 9110, 2.5).
	if major != "1" {
		return nil, 505
	}
	if path == "" && host != "" {
		path = "/"
	}
	if path == "" {
		return nil, 400
	}
	return &request{method, target, path}, 0
}

// firstLine is the first line without its CRLF. LF alone may end it too, so that a request can be typed by
// hand.
func firstLine(head string) string {
	line, _, _ := strings.Cut(head, "\n")
	return strings.TrimSuffix(line, "\r")
}

// The handler: from a request to its response.

// respond returns the response to a request.
func respond(request *request, root string) *response {
	switch request.method {
	case "GET":
		file, status := openFile(root, request.path)
		if status != 0 {
			return errorResponse(status)
		}
		return fileResponse(file)
	case "HEAD":
		// The response to HEAD never has content (RFC 9110, 9.3.2).
		return newResponse(501, nil)
	default:
		return errorResponse(501)
	}
}

// Files: from a request path to an open file below the document root, or the reason why not.

// canonicalizeRoot returns the document root without symbolic links, so that other paths can be compared
// with it.
func canonicalizeRoot(root string) string {
	const shown = "the root `%s`. Choose a folder with `--root`"
	absolute, err := filepath.Abs(root)
	if err == nil {
		absolute, err = filepath.EvalSymlinks(absolute)
	}
	if err != nil {
		fail("Cannot open "+shown+": %v", root, reason(err))
	}
	if info, err := os.Stat(absolute); err != nil || !info.IsDir() {
		fail("Cannot serve "+shown+": It is not a folder", root)
	}
	return absolute
}

// openFile opens the file that a request path names. It also returns the status code that refuses it, or
// 0.
func openFile(root, path string) (*os.File, int) {
	place, ok := resolve(root, path)
	if !ok {
		return nil, 404
	}
	file, err := os.Open(place)
	switch {
	case err == nil:
		return file, 0
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
		return nil, 404
	default:
		// The fault is ours: we may be out of descriptors.
		return nil, 500
	}
}

// resolve finds where a request path really leads, with links followed. There may be no file for the
// public. Only regular files are opened: opening a FIFO would wait for its writer.
func resolve(root, path string) (string, bool) {
	for _, segment := range strings.Split(path, "/") {
		if segment == ".." {
			return "", false
		}
	}
	if strings.HasSuffix(path, "/") {
		path += "index.html"
	}
	// The system tells whether a name is a folder, so nothing may be cut off before it has looked.
	real, err := filepath.EvalSymlinks(root + "/" + path)
	if err != nil || !strings.HasPrefix(real, strings.TrimSuffix(root, "/")+"/") {
		return "", false
	}
	info, err := os.Stat(real)
	return real, err == nil && info.Mode().IsRegular()
}

// The response: a status line, header fields, an empty line, and the content as bytes.

// phrases are the reason phrases (RFC 9110, 15; RFC 6585 for 431).
var phrases = map[int]string{
	200: "OK",
	400: "Bad Request",
	404: "Not Found",
	408: "Request Timeout",
	414: "URI Too Long",
	431: "Request Header Fields Too Large",
	500: "Internal Server Error",
	501: "Not Implemented",
	505: "HTTP Version Not Supported",
}

// response is what a client gets.
type response struct {
	status int
	// How many bytes have been written, head and content.
	sent int64
	// Whether everything has been written.
	isComplete bool
	// What is written next: at first the head, with the beginning of the content.
	chunk []byte
	// Where the rest of the content comes from.
	file *os.File
}

// newResponse returns a response with this content.
func newResponse(status int, content []byte) *response {
	const head = "HTTP/1.1 %d %s\r\nServer: %s\r\nConnection: close\r\n\r\n"
	chunk := fmt.Appendf(nil, head, status, phrases[status], name)
	return &response{status: status, chunk: append(chunk, content...)}
}

// fileResponse returns a response with the content of a file. Some files can be opened but not read: so
// the first chunk is read now, before anything has been sent.
func fileResponse(file *os.File) *response {
	chunk, err := readChunk(file)
	if err != nil {
		file.Close()
		return errorResponse(500)
	}
	response := newResponse(200, chunk)
	response.file = file
	return response
}

// errorResponse returns a response with a line of text that names the status.
func errorResponse(status int) *response {
	return newResponse(status, fmt.Appendf(nil, "%d %s\n", status, phrases[status]))
}

// writeChunk writes the next chunk.
func (response *response) writeChunk(writer io.Writer) error {
	if _, err := writer.Write(response.chunk); err != nil {
		return err
	}
	response.sent += int64(len(response.chunk))
	response.chunk = nil
	if response.file != nil {
		chunk, err := readChunk(response.file)
		if err != nil {
			return err
		}
		response.chunk = chunk
	}
	response.isComplete = len(response.chunk) == 0
	return nil
}

// close closes the file.
func (response *response) close() {
	if response.file != nil {
		response.file.Close()
	}
}

// readChunk reads the next chunk of a file. It is empty at the end of the file.
func readChunk(file *os.File) ([]byte, error) {
	return io.ReadAll(io.LimitReader(file, chunkSize))
}

// The log on standard error: a line for each request.

// logLine writes a line in one piece, so that the lines of several clients don't mix. If that fails,
// there is nobody to report it to.
func logLine(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
}

// logRequest logs the client's address, the method and target of its request if it was understood, the
// status code, the bytes sent, and whether the response was cut.
func logRequest(peer net.Addr, request *request, response *response) {
	method, target, end := "-", "-", ""
	if request != nil {
		method, target = request.method, escape(request.target)
	}
	if !response.isComplete {
		end = " cut"
	}
	logLine("%v %s %s %d %d%s", peer, method, target, response.status, response.sent, end)
}

// logHead logs a head line by line.
func logHead(head string) {
	for _, line := range strings.SplitAfter(head, "\n") {
		if line != "" {
			logLine("> %s", escape(line))
		}
	}
}

// escape shows bytes as text, so that no control byte reaches the terminal.
func escape(bytes string) string {
	text := strings.Builder{}
	for i := 0; i < len(bytes); i++ {
		if bytes[i] < ' ' || bytes[i] > '~' || bytes[i] == '\\' {
			fmt.Fprintf(&text, "\\x%02x", bytes[i])
		} else {
			text.WriteByte(bytes[i])
		}
	}
	return text.String()
}
