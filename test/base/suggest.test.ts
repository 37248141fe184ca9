import t from 'tap';
import { editDistance, nearest, quote } from '../../src/base/suggest.js';

t.test('the nearest word is the one with the fewest edits', async (t) => {
  t.equal(editDistance('alow', 'allow'), 1);
  t.equal(editDistance('tpc', 'tcp'), 1, 'two letters swapped are one edit');
  t.equal(editDistance('', 'abc'), 3);
  t.equal(nearest('alow', ['drop', 'allow', 'reject']), 'allow');
  t.equal(nearest('polices', ['policies', 'services']), 'policies');
  t.equal(nearest('POLICIES', ['policies']), 'policies', 'letter case counts for nothing');
  t.equal(nearest('enforc', ['audit', 'enforce']), 'enforce');
});

t.test('a word that is far from all is near to none', async (t) => {
  t.equal(nearest('colour', ['name', 'mode', 'log']), undefined);
  t.equal(nearest('x', ['y', 'to']), undefined);
  t.equal(nearest('a'.repeat(100), ['a'.repeat(99)]), undefined);
});

t.test('more than 1,000 candidates are not searched', async (t) => {
  const many = Array.from({ length: 2000 }, (_, i) => `word${i}`);
  t.equal(nearest('wrod1999', many.reverse()), 'word1999');
  t.equal(nearest('needl', [...many, 'needle']), undefined);
});

t.test('a quoted word cannot move a terminal and is not long', async (t) => {
  t.equal(quote('a\x1b[31m\u202e'), '"a\\u001b[31m\\u202e"');
  t.equal(quote('x'.repeat(100)).length, 62);
});
