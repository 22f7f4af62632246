import java.io.Closeable;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.SocketTimeoutException;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A web server with a thread for each connection.
 *
 * <p>Its parts are in the order of the Rust stages: the start, accepting connections, one connection,
 * the request, the handler, files, the response, and the log.
 */
final class Server {
    static final String NAME = "stage3_java";
    static final String VERSION = "1.0";

    static final String HELP =
            """
            A web server with a thread for each connection.

              --listen ADDR:PORT  where to listen; port 0 picks a free one [127.0.0.1:8000]
              --root DIR          the folder whose files are served [html]
              --timeout SECONDS   how long to wait for a client [5]
              --verbose           show the head of every request as it came
              --version           show the version
            """;

    // The start: reads the command line, opens the document root and the listening socket, and
    // announces the address.

    /** The command line. */
    static final class Options {
        String listen = "127.0.0.1:8000";
        InetSocketAddress address;
        String root = "html";
        Path realRoot;
        /** In nanoseconds. */
        long timeout = 5_000_000_000L;
        boolean verbose;
    }

    /** Opens everything that a server needs, then serves until the program is stopped. */
    public static void main(String[] arguments) throws IOException {
        Options options = parseOptions(arguments);
        options.realRoot = canonicalizeRoot(options.root);
        ServerSocketChannel listener = listen(options);
        String shown = show(listener.getLocalAddress());
        System.out.println("Serving " + options.root + " at http://" + shown + "/");
        serve(listener, options);
    }

    /** Parses the command line. A usage error exits with 2. */
    static Options parseOptions(String[] arguments) {
        Options options = new Options();
        for (int i = 0; i < arguments.length; i++) {
            String option = arguments[i];
            switch (option) {
                case "--help", "-h" -> exitAfter(HELP);
                case "--version" -> exitAfter(NAME + " " + VERSION + "\n");
                case "--verbose" -> options.verbose = true;
                case "--listen", "--root", "--timeout" -> {
                    i++;
                    if (i == arguments.length) {
                        refuseUsage(option + " needs a value");
                    }
                    setOption(options, option, arguments[i]);
                }
                default -> refuseUsage("unknown option `" + option + "`");
            }
        }
        options.address = parseAddress(options.listen);
        return options;
    }

    static void setOption(Options options, String option, String value) {
        switch (option) {
            case "--listen" -> options.listen = value;
            case "--root" -> options.root = value;
            default -> {
                int seconds = value.matches("[0-9]{1,5}") ? Integer.parseInt(value) : 0;
                if (seconds < 1 || seconds > 86_400) {
                    refuseUsage("invalid value `" + value + "` for --timeout");
                }
                options.timeout = seconds * 1_000_000_000L;
            }
        }
    }

    static void exitAfter(String text) {
        System.out.print(text);
        System.exit(0);
    }

    static void refuseUsage(String message) {
        logLine(NAME + ": " + message);
        System.exit(2);
    }

    /** Parses {@code 127.0.0.1:8080} or {@code [::1]:8080}. */
    static InetSocketAddress parseAddress(String text) {
        Pattern pattern = Pattern.compile("([0-9]+(?:\\.[0-9]+){3}|\\[[0-9A-Fa-f:.]+\\]):([0-9]{1,5})");
        Matcher parts = pattern.matcher(text);
        try {
            if (parts.matches() && Integer.parseInt(parts.group(2)) <= 65_535) {
                InetAddress host = InetAddress.getByName(parts.group(1));
                return new InetSocketAddress(host, Integer.parseInt(parts.group(2)));
            }
        } catch (UnknownHostException error) {
            // It only looks like an address.
        }
        refuseUsage("invalid value `" + text + "` for --listen");
        return null;
    }

    /** Opens the listening socket. Clients wait in its backlog until they are accepted. */
    static ServerSocketChannel listen(Options options) throws IOException {
        boolean isIpv4 = options.address.getAddress().getAddress().length == 4;
        ServerSocketChannel listener =
                ServerSocketChannel.open(
                        isIpv4 ? StandardProtocolFamily.INET : StandardProtocolFamily.INET6);
        listener.setOption(StandardSocketOptions.SO_REUSEADDR, true);
        try {
            listener.bind(options.address, 128);
        } catch (IOException error) {
            String hint = "Choose another address with `--listen`";
            fail("Cannot listen on " + options.listen + ". " + hint + ": " + error.getMessage());
        }
        return listener;
    }

    /** Ends the program, which can't start. */
    static void fail(String message) {
        logLine(NAME + ": " + message);
        System.exit(1);
    }

    /** An address as in {@code 127.0.0.1:8080} or {@code [::1]:8080}. */
    static String show(SocketAddress address) {
        if (!(address instanceof InetSocketAddress known)) {
            return "-";
        }
        String host = known.getAddress().getHostAddress();
        return (host.contains(":") ? "[" + host + "]" : host) + ":" + known.getPort();
    }

    // How connections are accepted: with a thread for each.

    /** How long to pause when the system has nothing left for us, so that the loop doesn't spin. */
    static final long RETRY_DELAY = 50;

    /** How many clients are served at once. Further ones wait in the backlog. */
    static final int MAX_CLIENTS = 256;

    /** The stack of a thread, in bytes. The usual 1 MiB is more than it needs. */
    static final long STACK_SIZE = 256 * 1024;

    /** Accepts and serves clients until the program is stopped. */
    static void serve(ServerSocketChannel listener, Options options) {
        // Each thread holds a slot while it runs.
        Semaphore slots = new Semaphore(MAX_CLIENTS);
        while (true) {
            slots.acquireUninterruptibly();
            SocketChannel client;
            try {
                client = listener.accept();
            } catch (IOException error) {
                slots.release();
                logLine("cannot accept a client: " + error.getMessage());
                pause();
                continue;
            }
            try {
                startThread(slots, client, options);
            } catch (OutOfMemoryError error) {
                slots.release();
                logLine("cannot serve a client: " + error.getMessage());
                turnAway(client);
            }
        }
    }

    static void pause() {
        try {
            Thread.sleep(RETRY_DELAY);
        } catch (InterruptedException error) {
            // Nobody interrupts this thread.
        }
    }

    /** Starts a thread that serves the client. */
    static void startThread(Semaphore slots, SocketChannel client, Options options) {
        Runnable work =
                () -> {
                    try {
                        serveClient(client, options);
                    } finally {
                        slots.release();
                    }
                };
        new Thread(null, work, "client", STACK_SIZE).start();
    }

    /** Tells a client that it can't be served. Nobody may wait for it. */
    static void turnAway(SocketChannel client) {
        try (client) {
            client.configureBlocking(false);
            client.write(Response.error(503).chunk);
            client.shutdownOutput();
            client.read(ByteBuffer.allocate(CHUNK_SIZE));
        } catch (IOException error) {
            // It has left.
        }
    }

    // One connection: read the head before its deadline, respond, close gently, log.

    /** The longest request line, in bytes, without its line ending. */
    static final int MAX_LINE = 8_000;

    /** The longest head, in bytes: request line, header fields and empty line. */
    static final int MAX_HEAD = 16 * 1024;

    /** How much of a file is held in memory at a time, in bytes. */
    static final int CHUNK_SIZE = 64 * 1024;

    /** A request is refused with this status code. */
    static final class Refused extends Exception {
        private static final long serialVersionUID = 1;
        final int status;

        Refused(int status) {
            this.status = status;
        }
    }

    /** What was read of a head, and the status code that refuses it; 0 if it is complete. */
    record Head(String text, int status) {}

    /** Serves one client. Whatever goes wrong in here ends only this connection. */
    static void serveClient(SocketChannel client, Options options) {
        Head head;
        Request request = null;
        Response response;
        String peer = "-";
        try (Connection connection = new Connection(client)) {
            peer = show(client.getRemoteAddress());
            head = readHead(connection, System.nanoTime() + options.timeout);
            if (head == null) {
                return;
            }
            try {
                if (head.status != 0) {
                    throw new Refused(head.status);
                }
                request = parse(head.text);
                response = respond(request, options.realRoot);
            } catch (Refused refused) {
                response = Response.error(refused.status);
            }
            boolean bodyMayFollow = request == null || !request.method.equals("GET");
            send(connection, response, options.timeout, bodyMayFollow);
        } catch (IOException error) {
            // The client has left, or there is no descriptor left to wait for it.
            return;
        }
        // Writing to the log may block: the client has its response by then.
        if (options.verbose) {
            logHead(head.text);
        }
        logRequest(peer, request, response);
    }

    /** Reads up to the empty line that ends a head; null if nobody waits for a response. */
    static Head readHead(Connection connection, long deadline) {
        ByteBuffer buffer = ByteBuffer.allocate(CHUNK_SIZE);
        String received = "";
        while (true) {
            // Empty lines before the request line are ignored (RFC 9112, 2.2).
            received = received.replaceFirst("^(\r?\n)+", "");
            Matcher end = HEAD_END.matcher(received);
            boolean isComplete = end.find();
            String text = isComplete ? received.substring(0, end.end()) : received;
            if (firstLine(text).length() > MAX_LINE) {
                return new Head(text, 414);
            }
            if (text.length() > MAX_HEAD) {
                return new Head(text, 431);
            }
            if (isComplete) {
                return new Head(text, 0);
            }
            try {
                // An incomplete request is ignored (RFC 9112, 8).
                if (connection.read(buffer.clear(), deadline) < 0) {
                    return null;
                }
            } catch (SocketTimeoutException error) {
                return text.isEmpty() ? null : new Head(text, 408);
            } catch (IOException error) {
                return null;
            }
            // Each character stands for one byte.
            received += StandardCharsets.ISO_8859_1.decode(buffer.flip());
        }
    }

    static final Pattern HEAD_END = Pattern.compile("\n\r?\n");

    /** Sends a response and ends the connection. */
    static void send(Connection connection, Response response, long timeout, boolean bodyMayFollow)
            throws IOException {
        try (response) {
            // Each chunk has its own deadline: a client may be slow, but it must not stop.
            while (!response.isComplete) {
                response.writeChunk(connection, System.nanoTime() + timeout);
            }
        } catch (IOException error) {
            // The client must see that something is missing. An orderly end would hide it, so the end
            // of the connection must be a reset.
            connection.client.setOption(StandardSocketOptions.SO_LINGER, 0);
            return;
        }
        linger(connection, System.nanoTime() + timeout, bodyMayFollow);
    }

    /**
     * A client's socket, to be read from and written to until a deadline. With a timeout for each call
     * alone, a client could stay forever by sending or taking a byte now and then.
     */
    static final class Connection implements Closeable {
        final SocketChannel client;
        private final Selector selector;
        private final SelectionKey key;

        Connection(SocketChannel client) throws IOException {
            this.client = client;
            try {
                client.configureBlocking(false);
                selector = Selector.open();
            } catch (IOException error) {
                client.close();
                throw error;
            }
            key = client.register(selector, 0);
        }

        /** Reads what has arrived. Returns -1 at the end of the stream. */
        int read(ByteBuffer buffer, long deadline) throws IOException {
            int length = 0;
            while (length == 0) {
                await(SelectionKey.OP_READ, deadline);
                length = client.read(buffer);
            }
            return length;
        }

        /** Writes all of these bytes. */
        void write(ByteBuffer bytes, long deadline) throws IOException {
            while (bytes.hasRemaining()) {
                await(SelectionKey.OP_WRITE, deadline);
                client.write(bytes);
            }
        }

        /** Waits until the socket is ready. A client that is always ready has a deadline, too. */
        private void await(int operation, long deadline) throws IOException {
            // In milliseconds, rounded up. Zero would mean to wait forever.
            long left = (deadline - System.nanoTime() + 999_999) / 1_000_000;
            key.interestOps(operation);
            if (left <= 0 || selector.select(left) == 0) {
                throw new SocketTimeoutException();
            }
            selector.selectedKeys().clear();
        }

        @Override
        public void close() throws IOException {
            client.close();
            selector.close();
        }
    }

    /**
     * Stops sending after a complete response. If bytes from the client were still unread, close(2)
     * would reset the connection, and the response could be lost on its way (RFC 9112, 9.6). So this
     * reads until the client closes.
     */
    static void linger(Connection connection, long deadline, boolean bodyMayFollow) {
        ByteBuffer sink = ByteBuffer.allocate(CHUNK_SIZE);
        try {
            connection.client.shutdownOutput();
            if (bodyMayFollow || connection.client.read(sink) > 0) {
                while (connection.read(sink.clear(), deadline) > 0) {}
            }
        } catch (IOException error) {
            // Whatever has happened, the connection ends now.
        }
    }

    // The request: from bytes to what the client asks for.

    /**
     * METHOD SP request-target SP HTTP-version (RFC 9112, 3). A method is a token (RFC 9110, 5.6.2). A
     * target is {@code /path?query}, or {@code http://host/path?query}, which is what proxies get (RFC
     * 9112, 3.2). It has neither a bare CR (RFC 9112, 2.2) nor a fragment, which a browser keeps to
     * itself.
     */
    static final Pattern REQUEST_LINE =
            Pattern.compile(
                    "(?<method>[-!#$%&'*+.^_`|~0-9A-Za-z]+)"
                            + " (?<target>(?<host>(?i:http)://[^ \r#/?]+)?(?<path>/[^ \r#?]*+)?"
                            + "(?:\\?[^ \r#]*+)?)"
                            + " HTTP/(?<major>[0-9])\\.[0-9]");

    /** What a client asks for: the target as it came, and the path in it, without the query. */
    record Request(String method, String target, String path) {}

    /** Parses a head. */
    static Request parse(String head) throws Refused {
        Matcher parts = REQUEST_LINE.matcher(firstLine(head));
        if (!parts.matches()) {
            throw new Refused(400);
        }
        // Every HTTP/1 client understands HTTP/1.1, whatever its minor version (RFC 9110, 2.5).
        if (!parts.group("major").equals("1")) {
            throw new Refused(505);
        }
        String path = parts.group("path");
        if (path == null && parts.group("host") != null) {
            path = "/";
        }
        if (path == null) {
            throw new Refused(400);
        }
        return new Request(parts.group("method"), parts.group("target"), path);
    }

    /** The first line, without its CRLF. LF alone may end it too: then it can be typed by hand. */
    static String firstLine(String head) {
        int end = head.indexOf('\n');
        String line = end < 0 ? head : head.substring(0, end);
        return line.endsWith("\r") ? line.substring(0, line.length() - 1) : line;
    }

    // The handler: from a request to its response.

    static Response respond(Request request, Path root) throws Refused {
        return switch (request.method) {
            case "GET" -> Response.ofFile(open(root, request.path));
            // The response to HEAD never has content (RFC 9110, 9.3.2).
            case "HEAD" -> new Response(501, new byte[0], null);
            default -> Response.error(501);
        };
    }

    // Files: from a request path to an open file below the document root, or the reason why not.

    /** The document root without symbolic links, so that other paths can be compared with it. */
    static Path canonicalizeRoot(String root) {
        String shown = "the root `" + root + "`. Choose a folder with `--root`";
        Path real = null;
        try {
            real = Path.of(root).toRealPath();
        } catch (NoSuchFileException error) {
            fail("Cannot open " + shown + ": No such file or directory");
        } catch (IOException | InvalidPathException error) {
            fail("Cannot open " + shown + ": " + error.getMessage());
        }
        if (!Files.isDirectory(real)) {
            fail("Cannot serve " + shown + ": It is not a folder");
        }
        return real;
    }

    /** Opens the file that a request path names. */
    static FileChannel open(Path root, String path) throws Refused {
        Path place = resolve(root, path);
        if (place == null) {
            throw new Refused(404);
        }
        try {
            return FileChannel.open(place);
        } catch (NoSuchFileException | AccessDeniedException | NotDirectoryException error) {
            throw new Refused(404);
        } catch (IOException error) {
            // The fault is ours: we may be out of descriptors.
            throw new Refused(500);
        }
    }

    /**
     * Where a request path really leads, with links followed; null if there is no file for the public.
     * Only regular files are opened: opening a FIFO would wait for its writer.
     */
    static Path resolve(Path root, String path) {
        // Each character stands for one byte of a name in UTF-8.
        String name = new String(path.getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
        try {
            Path wanted = root;
            for (String segment : name.split("/")) {
                if (segment.equals("..")) {
                    return null;
                }
                wanted = wanted.resolve(segment);
            }
            Path real = (name.endsWith("/") ? wanted.resolve("index.html") : wanted).toRealPath();
            return real.startsWith(root) && Files.isRegularFile(real) ? real : null;
        } catch (IOException | InvalidPathException error) {
            return null;
        }
    }

    // The response: a status line, header fields, an empty line, and the content as bytes.

    /** The reason phrases (RFC 9110, 15; RFC 6585 for 431). */
    static final Map<Integer, String> PHRASES =
            Map.of(
                    200, "OK",
                    400, "Bad Request",
                    404, "Not Found",
                    408, "Request Timeout",
                    414, "URI Too Long",
                    431, "Request Header Fields Too Large",
                    500, "Internal Server Error",
                    501, "Not Implemented",
                    503, "Service Unavailable",
                    505, "HTTP Version Not Supported");

    /** What a client gets. */
    static final class Response implements Closeable {
        final int status;

        /** How many bytes have been written, head and content. */
        long sent;

        /** Whether everything has been written. */
        boolean isComplete;

        /** What is written next: at first the head, with the beginning of the content. */
        ByteBuffer chunk;

        /** Where the rest of the content comes from. */
        private final FileChannel file;

        Response(int status, byte[] content, FileChannel file) {
            String statusLine = "HTTP/1.1 " + status + " " + PHRASES.get(status) + "\r\n";
            String fields = "Server: " + NAME + "\r\nConnection: close\r\n\r\n";
            byte[] head = (statusLine + fields).getBytes(StandardCharsets.US_ASCII);
            this.status = status;
            this.file = file;
            chunk = ByteBuffer.allocate(head.length + content.length).put(head).put(content).flip();
        }

        /**
         * A response with the content of a file. Some files can be opened but not read, so the first
         * chunk is read now, before anything has been sent.
         */
        static Response ofFile(FileChannel file) throws Refused {
            try {
                ByteBuffer chunk = readChunk(file);
                byte[] content = new byte[chunk.remaining()];
                chunk.get(content);
                return new Response(200, content, file);
            } catch (IOException error) {
                throw new Refused(500);
            }
        }

        /** A response with a line of text that names the status. */
        static Response error(int status) {
            String text = status + " " + PHRASES.get(status) + "\n";
            return new Response(status, text.getBytes(StandardCharsets.US_ASCII), null);
        }

        /** Writes the next chunk. */
        void writeChunk(Connection connection, long deadline) throws IOException {
            int length = chunk.remaining();
            connection.write(chunk, deadline);
            sent += length;
            chunk = file == null ? ByteBuffer.allocate(0) : readChunk(file);
            isComplete = !chunk.hasRemaining();
        }

        @Override
        public void close() throws IOException {
            if (file != null) {
                file.close();
            }
        }
    }

    /** Reads the next chunk of a file. It is empty at the end of the file. */
    static ByteBuffer readChunk(FileChannel file) throws IOException {
        ByteBuffer chunk = ByteBuffer.allocate(CHUNK_SIZE);
        while (chunk.hasRemaining() && file.read(chunk) > 0) {}
        return chunk.flip();
    }

    // The log on standard error: a line for each request.

    /**
     * Writes a line in one piece, so that the lines of several clients don't mix. If that fails, there
     * is nobody to report it to.
     */
    static void logLine(String text) {
        try {
            STDERR.write((text + "\n").getBytes(StandardCharsets.UTF_8));
        } catch (IOException error) {
            // Standard error is closed.
        }
    }

    static final FileOutputStream STDERR = new FileOutputStream(FileDescriptor.err);

    /**
     * Logs the client's address, the method and target of its request if it was understood, the status
     * code, the bytes sent, and whether the response was cut.
     */
    static void logRequest(String peer, Request request, Response response) {
        String line = request == null ? "- -" : request.method + " " + escape(request.target);
        String end = response.isComplete ? "" : " cut";
        logLine(peer + " " + line + " " + response.status + " " + response.sent + end);
    }

    /** Logs a head line by line. */
    static void logHead(String head) {
        for (String line : head.split("(?<=\n)")) {
            logLine("> " + escape(line));
        }
    }

    /** Bytes as text, so that no control byte reaches the terminal. */
    static String escape(String bytes) {
        StringBuilder text = new StringBuilder();
        for (char value : bytes.toCharArray()) {
            boolean isPlain = value >= ' ' && value <= '~' && value != '\\';
            text.append(isPlain ? String.valueOf(value) : String.format("\\x%02x", (int) value));
        }
        return text.toString();
    }
}
