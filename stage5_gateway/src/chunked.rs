//! Content in chunks, each with its size in front (RFC 9112, 7.1): for whoever begins to send before
//! the length is known.
//!
//! A chunk of size zero is the end, so an end can be told from a lost connection. Look at how strictly
//! sizes are read: two programs that disagree about one could be made to disagree about requests.

use std::io::{self, BufRead, Cursor, ErrorKind, Read};

/// The longest line of a chunk's size with its extensions, and of a trailer field, in bytes.
const MAX_LINE: u64 = 4 * 1024;

/// How many bytes of extensions and trailer fields are accepted in all. Nobody needs them.
const MAX_IGNORED: usize = 16 * 1024;

/// Reads chunks, and yields what is in them.
pub struct Decoder<R> {
    pub reader: R,
    /// How many bytes of the current chunk follow.
    left: u64,
    ignored: usize,
    has_ended: bool,
}

impl<R: BufRead> Decoder<R> {
    pub fn new(reader: R) -> Self {
        Decoder {
            reader,
            left: 0,
            ignored: 0,
            has_ended: false,
        }
    }

    /// Reads a line that must end in CRLF: a lone LF or CR might be overlooked by another program.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut reader = self.reader.by_ref().take(MAX_LINE);
        reader.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") && line.len() < MAX_LINE as usize {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let text = line.strip_suffix(b"\r\n").ok_or(ErrorKind::InvalidData)?;
        let is_text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
        if text.iter().all(is_text) {
            return Ok(text.to_vec());
        }
        Err(ErrorKind::InvalidData.into())
    }

    /// Counts what is read and not used.
    fn ignore(&mut self, length: usize) -> io::Result<()> {
        self.ignored += length;
        if self.ignored > MAX_IGNORED {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(())
    }

    /// Reads the size of the next chunk: hexadecimal digits, and perhaps extensions.
    fn size(&mut self) -> io::Result<u64> {
        let line = self.line()?;
        let is_digit = |byte: &&u8| byte.is_ascii_hexdigit();
        let (digits, extensions) = line.split_at(line.iter().take_while(is_digit).count());
        if !matches!(extensions.trim_ascii_start().first(), None | Some(b';')) {
            return Err(ErrorKind::InvalidData.into());
        }
        self.ignore(extensions.len())?;
        let digits = String::from_utf8_lossy(digits);
        u64::from_str_radix(&digits, 16).map_err(|_| ErrorKind::InvalidData.into())
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_ended || buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            self.left = self.size()?;
        }
        if self.left == 0 {
            // The trailer section, up to an empty line.
            loop {
                match self.line()?.len() {
                    0 => break,
                    length => self.ignore(length)?,
                }
            }
            self.has_ended = true;
            return Ok(0);
        }
        let length = self.reader.by_ref().take(self.left).read(buffer)?;
        self.left -= length as u64;
        match length {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            _ if self.left > 0 => {}
            _ if self.line()?.is_empty() => {}
            _ => return Err(ErrorKind::InvalidData.into()),
        }
        Ok(length)
    }
}

/// Puts content into chunks, each as long as what was read.
pub struct Encoder<R> {
    source: R,
    chunk: Cursor<Vec<u8>>,
    has_ended: bool,
}

impl<R: Read> Encoder<R> {
    pub fn new(source: R) -> Self {
        Encoder {
            source,
            chunk: Cursor::default(),
            has_ended: false,
        }
    }
}

impl<R: Read> Read for Encoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.fill_buf()?.is_empty() && !self.has_ended {
            let mut content = vec![0; buffer.len()];
            let length = self.source.read(&mut content)?;
            self.has_ended = length == 0;
            self.chunk = Cursor::new(encode(&content[..length]));
        }
        self.chunk.read(buffer)
    }
}

/// A chunk; the last one if there is no content.
pub fn encode(content: &[u8]) -> Vec<u8> {
    let size = format!("{:x}\r\n", content.len());
    [size.as_bytes(), content, b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::BufReader;

    /// What is in the chunks, read through a buffer of this size, and what follows them.
    fn decoded(bytes: &[u8], buffer: usize) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let mut reader = BufReader::with_capacity(buffer, bytes);
        let mut content = Vec::new();
        Decoder::new(&mut reader).read_to_end(&mut content)?;
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest)?;
        Ok((content, rest))
    }

    #[test]
    fn chunks_have_sizes_extensions_and_trailers() {
        for (chunks, content) in [
            ("0\r\n\r\n", ""),
            ("3\r\nabc\r\n0\r\n\r\n", "abc"),
            (
                "003;a=b\r\nabc\r\n1 ; c\r\nd\r\n000;e\r\nTrailer: f\r\n\r\n",
                "abcd",
            ),
            (
                "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
                "01234567890123456789",
            ),
        ] {
            let (found, rest) = decoded(format!("{chunks}GET").as_bytes(), 64).unwrap();
            assert_eq!(
                (&*found, &*rest),
                (content.as_bytes(), &b"GET"[..]),
                "{chunks:?}"
            );
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        let long = |extension: &str, count| extension.repeat(count);
        for chunks in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\na\r\n",
            "0x1\r\na\r\n",
            " 1\r\na\r\n",
            "1 x\r\na\r\n",
            "1\na\r\n0\r\n\r\n",
            "1\r\nab\r\n0\r\n\r\n",
            "1\r\na\n0\r\n\r\n",
            "1;a\rb\r\na\r\n0\r\n\r\n",
            "10000000000000000\r\n",
            "fffffffffffffffff\r\n",
            &format!("1;{}\r\na\r\n", long("x", 5_000)),
            &format!("0\r\n{}\r\n", long("a: b\r\n", 5_000)),
        ] {
            let error = decoded(chunks.as_bytes(), 64).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{chunks:?}");
        }
        for cut in [
            "",
            "5",
            "5\r\nab",
            "2\r\nab",
            "2\r\nab\r\n",
            "0\r\n",
            "0\r\na: b\r\n",
        ] {
            let error = decoded(cut.as_bytes(), 64).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{cut:?}");
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..20),
            buffer in 1_usize..50,
        ) {
            let mut chunks = pieces.iter().flat_map(|piece| encode(piece)).collect::<Vec<u8>>();
            chunks.extend(encode(b""));
            let (content, rest) = decoded(&chunks, buffer).unwrap();
            prop_assert_eq!(content, pieces.concat());
            prop_assert!(rest.is_empty());
            // Every cut is noticed.
            for end in 0..chunks.len() {
                prop_assert!(decoded(&chunks[..end], buffer).is_err());
            }
        }

        #[test]
        fn encoder_yields_all_of_its_source(content: Vec<u8>, buffer in 1_usize..50) {
            let mut encoder = BufReader::with_capacity(buffer, Encoder::new(&*content));
            let mut chunks = Vec::new();
            encoder.read_to_end(&mut chunks).unwrap();
            prop_assert_eq!(decoded(&chunks, buffer).unwrap().0, content);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decoded(&bytes, 16);
        }
    }
}
