import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DiskError, helpFor, remedyOf } from '../../src/log/disk.ts';

test('what a disk has refused comes with what it means and what helps', () => {
  const refused = new DiskError('open', '/data/voter-id', 'EACCES');
  assert.is(refused.message, 'open /data/voter-id: EACCES, permission is missing');
  assert.is(helpFor(refused), 'Give this user the permission');
  assert.match(
    remedyOf(refused, 3),
    /^Give this user the permission, then start .*restart\(3\).* with the cluster\.$/,
  );
  for (const [code, help] of [
    ['EPERM', 'Give this user the permission'],
    ['EROFS', 'Make the file system writable'],
    ['ENOSPC', 'Make room on the disk'],
    ['EMFILE', 'Raise the limit'],
    ['EIO', 'Check the disk'],
  ])
    assert.is(helpFor({ code }), help);
});

test.run();
