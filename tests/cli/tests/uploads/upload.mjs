// Sends uploads with Chromium: upload.mjs SETTINGS UPLOADS, both in JSON.
//
// For each upload this prints a line: the status code of the response, or the error.

import { createRequire } from "node:module";

const [settings, uploads] = process.argv.slice(2).map((text) => JSON.parse(text));

// The caller removes this folder, whatever becomes of the browser.
process.env.TMPDIR = settings.scratch;
process.env.HOME = settings.scratch;
const require = createRequire(`${settings.modules}/`);
const browser = await require("playwright-core").chromium.launch({
  executablePath: settings.chromium,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    // Nothing leaves this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  ],
});
const page = await browser.newPage();
// Only a page of the same server may read its responses.
await page.goto(uploads[0].url);
for (const upload of uploads) {
  console.log(await page.evaluate(async ({ url, method, size }) => {
    // Playwright would copy the bytes of an array into each of its messages.
    const body = new Blob([new Uint8Array(size)], { type: "text/plain" });
    try {
      return (await fetch(url, { method, body })).status;
    } catch (error) {
      return String(error);
    }
  }, upload));
}
await browser.close();
