// A typical student's file server. Node sends its responses chunked (RFC 9112, 7.1).
import { createServer } from "node:http";
import { createReadStream, existsSync, statSync } from "node:fs";
import { join } from "node:path";

const [address, port, root] = process.argv.slice(2);
createServer((request, response) => {
  let path = join(root, request.url.split("?")[0]);
  if (path.endsWith("/")) path += "index.html";
  console.error(request.socket.remoteAddress, request.method, request.url);
  if (!existsSync(path) || !statSync(path).isFile()) {
    response.writeHead(404);
    response.end("Not found\n");
    return;
  }
  response.writeHead(200);
  createReadStream(path).pipe(response);
}).listen(Number(port), address);
