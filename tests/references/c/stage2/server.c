/* A web server with a process for each connection.
 *
 * Its parts are in the order of the Rust stages: the log, which the others need, then the start,
 * accepting connections, one connection, the request, the handler, files and the response, from the
 * bottom up, since C wants a function declared before its use.
 */

#define _XOPEN_SOURCE 700

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAME "stage2_c"
#define VERSION "1.0"

/* How long to pause when the system has nothing left for us, so that the loop doesn't spin. */
static const struct timespec RETRY_DELAY = {.tv_nsec = 50 * 1000 * 1000};

enum {
    /* The longest request line, in bytes, without its line ending. */
    MAX_LINE = 8000,
    /* The longest head, in bytes: request line, header fields and empty line. */
    MAX_HEAD = 16 * 1024,
    /* How much of a file is held in memory at a time, in bytes. */
    CHUNK_SIZE = 64 * 1024,
    /* Room for the head of a response. */
    RESPONSE_HEAD_SIZE = 256,
    /* How many clients are served at once. Further ones wait in the backlog. */
    MAX_CLIENTS = 256,
};

struct options {
    const char *listen;
    const char *root;
    int timeout;
    bool verbose;
};

/* A part of a buffer. It may contain any byte, so it has a length instead of an end. */
struct bytes {
    const char *start;
    size_t length;
};

/* What a client asks for. */
struct request {
    struct bytes method;
    /* The request target as it came. */
    struct bytes target;
    /* The path in the target, without the query. */
    struct bytes path;
};

/* What a client gets. */
struct response {
    int status;
    /* How many bytes have been written, head and content. */
    uint64_t sent;
    /* Whether everything has been written. */
    bool is_complete;
    /* Where the rest of the content comes from; -1 if there is none. */
    int file;
    /* What is written next: at first the head, with the beginning of the content. */
    size_t length;
    char chunk[RESPONSE_HEAD_SIZE + CHUNK_SIZE];
};

/* The log on standard error: a line for each request. */

/* Writes a line in one piece, so that the lines of several clients don't mix. */
static void log_line(const char *format, ...) {
    char *line = NULL;
    size_t length = 0;
    FILE *text = open_memstream(&line, &length);
    if (text == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(text, format, arguments);
    va_end(arguments);
    fputc('\n', text);
    if (fclose(text) == 0) {
        /* If this fails, there is nobody to report it to. */
        ssize_t written = write(STDERR_FILENO, line, length);
        (void)written;
    }
    free(line);
}

/* Bytes as text, so that no control byte reaches the terminal. The caller frees it. */
static char *escape(struct bytes bytes) {
    char *text = malloc(4 * bytes.length + 1);
    if (text == NULL)
        return NULL;
    char *end = text;
    for (size_t i = 0; i < bytes.length; i++) {
        unsigned char byte = (unsigned char)bytes.start[i];
        bool is_plain = byte >= ' ' && byte <= '~' && byte != '\\';
        end += sprintf(end, is_plain ? "%c" : "\\x%02x", byte);
    }
    *end = '\0';
    return text;
}

/* Logs the client's address, the method and target of its request if it was understood, the status
 * code, the bytes sent, and whether the response was cut. */
static void log_request(const char *peer, const struct request *request,
                        const struct response *response) {
    struct bytes none = {"-", 1};
    char *method = escape(request == NULL ? none : request->method);
    char *target = escape(request == NULL ? none : request->target);
    log_line("%s %s %s %d %llu%s", peer, method ? method : "-", target ? target : "-",
             response->status, (unsigned long long)response->sent,
             response->is_complete ? "" : " cut");
    free(method);
    free(target);
}

/* Logs a head line by line. */
static void log_head(struct bytes head) {
    while (head.length > 0) {
        const char *end = memchr(head.start, '\n', head.length);
        size_t length = end ? (size_t)(end + 1 - head.start) : head.length;
        char *line = escape((struct bytes){head.start, length});
        log_line("> %s", line ? line : "");
        free(line);
        head.start += length;
        head.length -= length;
    }
}

/* Deadlines: a client may be slow, but it must not stop. */

/* Milliseconds of a clock that only goes forward. */
static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Waits until a socket is ready. With a timeout for each call alone, a client could stay forever by
 * sending or taking a byte now and then. Fails with ETIMEDOUT at the deadline. */
static bool wait_until_ready(int client, short events, int64_t deadline) {
    for (;;) {
        int64_t left = deadline - now();
        struct pollfd socket = {.fd = client, .events = events};
        int ready = left > 0 ? poll(&socket, 1, (int)left) : 0;
        if (ready > 0)
            return true;
        if (ready == 0) {
            errno = ETIMEDOUT;
            return false;
        }
        if (errno != EINTR)
            return false;
    }
}

/* Receives what has arrived. Returns 0 at the end of the stream, and -1 on an error. */
static ssize_t receive(int client, char *buffer, size_t size, int64_t deadline) {
    if (!wait_until_ready(client, POLLIN, deadline))
        return -1;
    return recv(client, buffer, size, 0);
}

/* Sends all of these bytes. */
static bool send_all(int client, struct bytes bytes, int64_t deadline) {
    while (bytes.length > 0) {
        if (!wait_until_ready(client, POLLOUT, deadline))
            return false;
        /* A write to a closed connection must not end the process, as SIGPIPE would do. */
        ssize_t sent = send(client, bytes.start, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent > 0) {
            bytes.start += sent;
            bytes.length -= (size_t)sent;
        }
    }
    return true;
}

/* The response: a status line, header fields, an empty line, and the content as bytes. */

/* The reason phrase of a status code (RFC 9110, 15; RFC 6585 for 431). */
static const char *phrase(int status) {
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 408:
        return "Request Timeout";
    case 414:
        return "URI Too Long";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Internal Server Error";
    }
}

/* Begins a response without content. */
static void begin(struct response *response, int status) {
    response->status = status;
    response->sent = 0;
    response->is_complete = false;
    response->file = -1;
    response->length = (size_t)snprintf(response->chunk, RESPONSE_HEAD_SIZE,
                                        "HTTP/1.1 %d %s\r\n"
                                        "Server: " NAME "\r\n"
                                        "Connection: close\r\n"
                                        "\r\n",
                                        status, phrase(status));
}

/* A response with a line of text that names the status. */
static void respond_with_error(struct response *response, int status) {
    begin(response, status);
    char *end = response->chunk + response->length;
    response->length += (size_t)sprintf(end, "%d %s\n", status, phrase(status));
}

/* Adds the next bytes of the file to the chunk. */
static bool read_chunk(struct response *response) {
    ssize_t length = 0;
    size_t most = response->length + CHUNK_SIZE;
    do {
        length = read(response->file, response->chunk + response->length, most - response->length);
        if (length > 0)
            response->length += (size_t)length;
    } while (length > 0 && response->length < most);
    return length >= 0;
}

/* A response with the content of a file. Some files can be opened but not read, so the first chunk is
 * read now, before anything has been sent. */
static void respond_with_file(struct response *response, int file) {
    begin(response, 200);
    response->file = file;
    if (!read_chunk(response)) {
        close(file);
        respond_with_error(response, 500);
    }
}

/* Writes the next chunk. */
static bool write_chunk(struct response *response, int client, int64_t deadline) {
    if (!send_all(client, (struct bytes){response->chunk, response->length}, deadline))
        return false;
    response->sent += response->length;
    response->length = 0;
    if (response->file >= 0 && !read_chunk(response))
        return false;
    response->is_complete = response->length == 0;
    return true;
}

/* Files: from a request path to an open file below the document root, or the reason why not. */

/* Where a request path really leads, with links followed; NULL if there is no file for the public. The
 * caller frees it. Only regular files are opened: opening a FIFO would wait for its writer. */
static char *resolve(const char *root, struct bytes path) {
    char wanted[PATH_MAX];
    /* A C string ends at NUL: what is checked wouldn't be what is opened. */
    if (memchr(path.start, '\0', path.length) != NULL)
        return NULL;
    bool is_folder = path.start[path.length - 1] == '/';
    int length = snprintf(wanted, sizeof wanted, "%s%.*s%s", root, (int)path.length, path.start,
                          is_folder ? "index.html" : "");
    if (length >= (int)sizeof wanted)
        return NULL;
    for (const char *segment = wanted + strlen(root); segment != NULL;) {
        segment++;
        size_t length = strcspn(segment, "/");
        if (length == 2 && strncmp(segment, "..", 2) == 0)
            return NULL;
        segment = strchr(segment, '/');
    }
    char *real = realpath(wanted, NULL);
    struct stat stat_of_file;
    size_t root_length = strlen(root);
    if (real != NULL && strncmp(real, root, root_length) == 0 && real[root_length] == '/' &&
        stat(real, &stat_of_file) == 0 && S_ISREG(stat_of_file.st_mode))
        return real;
    free(real);
    return NULL;
}

/* Opens the file that a request path names. Returns its descriptor, or the negative status code that
 * refuses it. */
static int open_file(const char *root, struct bytes path) {
    char *place = resolve(root, path);
    if (place == NULL)
        return -404;
    int file = open(place, O_RDONLY | O_CLOEXEC);
    /* Whatever else is wrong is our fault: we may be out of descriptors. */
    int status = errno == ENOENT || errno == EACCES ? -404 : -500;
    free(place);
    return file >= 0 ? file : status;
}

/* The handler: from a request to its response. */

static bool equals(struct bytes bytes, const char *text) {
    return bytes.length == strlen(text) && memcmp(bytes.start, text, bytes.length) == 0;
}

/* The response to a request. */
static void respond(struct response *response, const struct request *request, const char *root) {
    if (equals(request->method, "GET")) {
        int file = open_file(root, request->path);
        if (file >= 0)
            respond_with_file(response, file);
        else
            respond_with_error(response, -file);
    } else if (equals(request->method, "HEAD")) {
        /* The response to HEAD never has content (RFC 9110, 9.3.2). */
        begin(response, 501);
    } else {
        respond_with_error(response, 501);
    }
}

/* The request: from bytes to what the client asks for. */

/* A line without its CR. LF alone may end it too, so that a request can be typed by hand. */
static struct bytes first_line(struct bytes head) {
    const char *end = memchr(head.start, '\n', head.length);
    struct bytes line = {head.start, end ? (size_t)(end - head.start) : head.length};
    if (line.length > 0 && line.start[line.length - 1] == '\r')
        line.length--;
    return line;
}

/* Cuts off the beginning of a text, up to one of these bytes or to its end. */
static struct bytes take_until(struct bytes *rest, const char *ends) {
    struct bytes taken = {rest->start, 0};
    while (taken.length < rest->length &&
           memchr(ends, taken.start[taken.length], strlen(ends)) == NULL)
        taken.length++;
    rest->start += taken.length;
    rest->length -= taken.length;
    return taken;
}

/* A method is a token (RFC 9110, 5.6.2). */
static bool is_token(struct bytes text) {
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (size_t i = 0; i < text.length; i++)
        if (memchr(allowed, text.start[i], sizeof allowed - 1) == NULL)
            return false;
    return text.length > 0;
}

/* Finds the path in a target, which is `/path?query`, or `http://host/path?query`, which is what
 * proxies get (RFC 9112, 3.2). It has neither a bare CR (RFC 9112, 2.2) nor a fragment, which a browser
 * keeps to itself. */
static bool find_path(struct bytes target, struct bytes *path) {
    if (memchr(target.start, '\r', target.length) || memchr(target.start, '#', target.length))
        return false;
    bool has_host = target.length > 7 && strncasecmp(target.start, "http://", 7) == 0;
    if (has_host) {
        target.start += 7;
        target.length -= 7;
        if (take_until(&target, "/?").length == 0)
            return false;
    }
    *path = take_until(&target, "?");
    if (path->length == 0 && has_host)
        *path = (struct bytes){"/", 1};
    return path->length > 0 && path->start[0] == '/';
}

/* Parses a head, whose first line is METHOD SP request-target SP HTTP-version (RFC 9112, 3). Returns 0,
 * or the status code that refuses it. */
static int parse(struct bytes head, struct request *request) {
    struct bytes rest = first_line(head);
    request->method = take_until(&rest, " ");
    if (rest.length == 0 || !is_token(request->method))
        return 400;
    rest.start++, rest.length--;
    request->target = take_until(&rest, " ");
    /* SP, and a version such as HTTP/1.1. */
    if (rest.length != 9 || memcmp(rest.start, " HTTP/", 6) != 0 || rest.start[7] != '.' ||
        rest.start[6] < '0' || rest.start[6] > '9' || rest.start[8] < '0' || rest.start[8] > '9')
        return 400;
    bool has_path = find_path(request->target, &request->path);
    /* Every HTTP/1 client understands HTTP/1.1, whatever its minor version (RFC 9110, 2.5). */
    if (rest.start[6] != '1')
        return 505;
    return has_path ? 0 : 400;
}

/* One connection: read the head before its deadline, respond, close gently, log. */

/* How many bytes of the buffer are the head, with the empty line that ends it; 0 if that is missing. */
static size_t head_length(struct bytes received) {
    for (size_t i = 0; i < received.length; i++) {
        if (received.start[i] != '\n')
            continue;
        size_t next = i + 1;
        if (next < received.length && received.start[next] == '\r')
            next++;
        if (next < received.length && received.start[next] == '\n')
            return next + 1;
    }
    return 0;
}

/* Removes empty lines before the request line, which are ignored (RFC 9112, 2.2). */
static void skip_empty_lines(char *buffer, size_t *length) {
    size_t start = 0;
    for (;;) {
        size_t next = start;
        if (next < *length && buffer[next] == '\r')
            next++;
        if (next == *length || buffer[next] != '\n')
            break;
        start = next + 1;
    }
    *length -= start;
    memmove(buffer, buffer + start, *length);
}

/* Reads up to the empty line that ends a head. Returns 0, or the status code that refuses it, or -1 if
 * nobody waits for a response. */
static int read_head(int client, int64_t deadline, char *buffer, struct bytes *head) {
    size_t length = 0;
    for (;;) {
        skip_empty_lines(buffer, &length);
        size_t complete = head_length((struct bytes){buffer, length});
        *head = (struct bytes){buffer, complete ? complete : length};
        if (first_line(*head).length > MAX_LINE)
            return 414;
        if (head->length > MAX_HEAD)
            return 431;
        if (complete)
            return 0;
        /* A byte more than is allowed shows that it is too much. */
        ssize_t received = receive(client, buffer + length, MAX_HEAD + 1 - length, deadline);
        if (received < 0 && errno == ETIMEDOUT && length > 0)
            return 408;
        /* An incomplete request is ignored (RFC 9112, 8). */
        if (received <= 0)
            return -1;
        length += (size_t)received;
    }
}

/* Whether the client has sent more than was read. Doesn't wait. */
static bool has_unread_input(int client) {
    char byte;
    return recv(client, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Stops sending after a complete response. If bytes from the client were still unread, close(2) would
 * reset the connection, and the response could be lost on its way (RFC 9112, 9.6). So this reads until
 * the client closes. */
static void linger(int client, int timeout, bool body_may_follow) {
    int64_t deadline = now() + (int64_t)timeout * 1000;
    char sink[4096];
    shutdown(client, SHUT_WR);
    if (body_may_follow || has_unread_input(client))
        while (receive(client, sink, sizeof sink, deadline) > 0) {
        }
}

/* Sends a response and ends the connection. */
static void send_response(int client, struct response *response, int timeout,
                          bool body_may_follow) {
    bool is_written = true;
    /* Each chunk has its own deadline. */
    while (is_written && !response->is_complete)
        is_written = write_chunk(response, client, now() + (int64_t)timeout * 1000);
    if (is_written) {
        linger(client, timeout, body_may_follow);
    } else {
        /* The client must see that something is missing. An orderly end would hide it, so close(2)
         * must reset the connection. */
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    if (response->file >= 0)
        close(response->file);
}

/* Serves one client. Whatever goes wrong in here ends only this connection. */
static void serve_client(int client, const char *peer, const struct options *options) {
    char buffer[MAX_HEAD + 1];
    struct bytes head;
    struct request request;
    struct response response;
    int status = read_head(client, now() + (int64_t)options->timeout * 1000, buffer, &head);
    if (status < 0) {
        close(client);
        return;
    }
    if (status == 0)
        status = parse(head, &request);
    if (status == 0)
        respond(&response, &request, options->root);
    else
        respond_with_error(&response, status);
    bool body_may_follow = status != 0 || !equals(request.method, "GET");
    send_response(client, &response, options->timeout, body_may_follow);
    close(client);
    /* Writing to the log may block: the client has its response by then. */
    if (options->verbose)
        log_head(head);
    log_request(peer, status == 0 ? &request : NULL, &response);
}

/* How connections are accepted: with a process for each. */

enum { ADDRESS_SIZE = INET6_ADDRSTRLEN + sizeof "[]:65535" };

/* Writes an address as in `127.0.0.1:8080` or `[::1]:8080`. */
static void show_address(const struct sockaddr_storage *address, socklen_t length, char *text) {
    char host[INET6_ADDRSTRLEN], port[6];
    bool is_ipv6 = address->ss_family == AF_INET6;
    if (getnameinfo((const struct sockaddr *)address, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        sprintf(text, is_ipv6 ? "[%s]:%s" : "%s:%s", host, port);
    else
        strcpy(text, "-");
}

/* Tells a client that it can't be served. Nobody may wait for it. */
static void turn_away(int client) {
    struct response response;
    char sink[4096];
    respond_with_error(&response, 503);
    if (send(client, response.chunk, response.length, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        shutdown(client, SHUT_WR);
    while (recv(client, sink, sizeof sink, MSG_DONTWAIT) > 0) {
    }
    close(client);
}

/* How many children are running. */
static volatile sig_atomic_t running;

/* Reaps the children that have exited. One remains as a zombie until its parent asks for its status. */
static void reap(int signal) {
    (void)signal;
    int error = errno;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        running--;
    errno = error;
}

/* Starts a child that serves the client. */
static bool start_child(int listener, int client, const char *peer,
                        const struct options *options) {
    sigset_t child_signals, others;
    sigemptyset(&child_signals);
    sigaddset(&child_signals, SIGCHLD);
    /* The child must be counted before it is reaped. */
    sigprocmask(SIG_BLOCK, &child_signals, &others);
    pid_t pid = fork();
    if (pid > 0)
        running++;
    int error = errno;
    sigprocmask(SIG_SETMASK, &others, NULL);
    if (pid == 0) {
        /* A child that held the listener would keep the port in use after its parent has exited. */
        close(listener);
        serve_client(client, peer, options);
        _exit(0);
    }
    errno = error;
    return pid > 0;
}

/* Accepts and serves clients until the program is stopped. */
static void serve(int listener, const struct options *options) {
    struct sigaction action = {.sa_handler = reap, .sa_flags = SA_RESTART};
    sigaction(SIGCHLD, &action, NULL);
    for (;;) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        char peer[ADDRESS_SIZE];
        while (running >= MAX_CLIENTS)
            nanosleep(&RETRY_DELAY, NULL);
        int client = accept(listener, (struct sockaddr *)&address, &length);
        if (client < 0) {
            log_line("cannot accept a client: %s", strerror(errno));
            nanosleep(&RETRY_DELAY, NULL);
            continue;
        }
        show_address(&address, length, peer);
        if (start_child(listener, client, peer, options)) {
            close(client);
        } else {
            log_line("cannot serve a client: %s", strerror(errno));
            turn_away(client);
        }
    }
}

/* The start: reads the command line, opens the document root and the listening socket, and announces
 * the address. */

static void usage(FILE *stream) {
    fprintf(stream,
            "A web server with a process for each connection.\n\n"
            "  --listen ADDR:PORT  where to listen; port 0 picks a free one [127.0.0.1:8888]\n"
            "  --root DIR          the folder whose files are served [html]\n"
            "  --timeout SECONDS   how long to wait for a client [5]\n"
            "  --verbose           show the head of every request as it came\n"
            "  --version           show the version\n");
}

/* A whole number from `least` to `most`; -1 if this is anything else. */
static long number(const char *text, long least, long most) {
    bool has_digits_only = *text != '\0' && text[strspn(text, "0123456789")] == '\0';
    errno = 0;
    long value = strtol(text, NULL, 10);
    return has_digits_only && errno == 0 && value >= least && value <= most ? value : -1;
}

/* Parses `127.0.0.1:8080` or `[::1]:8080`. */
static struct addrinfo *parse_address(const char *text) {
    char host[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof host || number(colon + 1, 0, 65535) < 0)
        return NULL;
    size_t length = (size_t)(colon - text);
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']')
        text++, length -= 2;
    snprintf(host, sizeof host, "%.*s", (int)length, text);
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    return getaddrinfo(host, colon + 1, &hints, &found) == 0 ? found : NULL;
}

/* Ends the program because of a wrong value on the command line. */
static void refuse_value(const char *value, const char *option) {
    fprintf(stderr, NAME ": invalid value `%s` for %s\n", value, option);
    exit(2);
}

/* Parses the command line. A usage error exits with 2. */
static struct options parse_options(int count, char **arguments) {
    static const struct option known[] = {
        {"listen", required_argument, NULL, 'l'}, {"root", required_argument, NULL, 'r'},
        {"timeout", required_argument, NULL, 't'}, {"verbose", no_argument, NULL, 'v'},
        {"version", no_argument, NULL, 'V'},       {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct options options = {.listen = "127.0.0.1:8888", .root = "html", .timeout = 5};
    int option;
    while ((option = getopt_long(count, arguments, "", known, NULL)) != -1) {
        switch (option) {
        case 'l':
            options.listen = optarg;
            break;
        case 'r':
            options.root = optarg;
            break;
        case 't':
            options.timeout = (int)number(optarg, 1, 86400);
            if (options.timeout < 0)
                refuse_value(optarg, "--timeout");
            break;
        case 'v':
            options.verbose = true;
            break;
        case 'V':
            puts(NAME " " VERSION);
            exit(0);
        case 'h':
            usage(stdout);
            exit(0);
        default:
            usage(stderr);
            exit(2);
        }
    }
    if (optind < count)
        refuse_value(arguments[optind], "an option");
    return options;
}

/* The document root without symbolic links, so that other paths can be compared with it. */
static char *canonicalize_root(const char *root) {
    struct stat status;
    char *real = realpath(root, NULL);
    if (real == NULL || stat(real, &status) != 0) {
        log_line(NAME ": Cannot open the root `%s`. Choose a folder with `--root`: %s", root,
                 strerror(errno));
        exit(1);
    }
    if (!S_ISDIR(status.st_mode)) {
        log_line(NAME ": Cannot serve the root `%s`. Choose a folder with `--root`: "
                      "It is not a folder",
                 root);
        exit(1);
    }
    /* Paths begin with a slash: `/` itself is shown as nothing. */
    if (strcmp(real, "/") == 0)
        *real = '\0';
    return real;
}

/* Opens the listening socket. Clients wait in its backlog until they are accepted. */
static int open_listener(const struct addrinfo *address, const char *shown) {
    int reuse = 1;
    int listener = socket(address->ai_family, SOCK_STREAM, 0);
    if (listener < 0 ||
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) != 0 ||
        bind(listener, address->ai_addr, address->ai_addrlen) != 0 || listen(listener, 128) != 0) {
        log_line(NAME ": Cannot listen on %s. Choose another address with `--listen`: %s", shown,
                 strerror(errno));
        exit(1);
    }
    return listener;
}

/* Opens everything that a server needs, then serves until the program is stopped. */
int main(int count, char **arguments) {
    struct options options = parse_options(count, arguments);
    struct addrinfo *address = parse_address(options.listen);
    if (address == NULL)
        refuse_value(options.listen, "--listen");
    const char *shown_root = options.root;
    options.root = canonicalize_root(options.root);
    int listener = open_listener(address, options.listen);
    freeaddrinfo(address);
    struct sockaddr_storage real;
    socklen_t length = sizeof real;
    char shown[ADDRESS_SIZE];
    getsockname(listener, (struct sockaddr *)&real, &length);
    show_address(&real, length, shown);
    printf("Serving %s at http://%s/\n", shown_root, shown);
    fflush(stdout);
    serve(listener, &options);
}
