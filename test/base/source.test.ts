import t from 'tap';
import { lineAt, locate, sourceOf } from '../../src/base/source.js';

t.test('lines and columns count from 1, columns in characters', async (t) => {
  const source = sourceOf('ab\ncd😀ef\r\n\nlast', 'f');
  t.equal(lineAt(source, 0), 1);
  t.equal(lineAt(source, 3), 2);
  const e = source.text.indexOf('e');
  t.match(locate(source, { start: e, end: e + 2 }), {
    file: 'f',
    line: 2,
    column: 4,
    length: 2,
    text: 'cd😀ef',
  });
  t.match(locate(source, { start: source.text.length, end: source.text.length }), {
    line: 4,
    column: 5,
    length: 1,
    text: 'last',
  });
});

t.test('a span over several lines is marked to the end of its first', async (t) => {
  t.match(locate(sourceOf('abc\ndef', 'f'), { start: 1, end: 6 }), {
    line: 1,
    column: 2,
    length: 2,
  });
});
