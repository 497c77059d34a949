// What a user's first program does. check-production.mjs copies it into an installed package and runs it there.
await import('tidemark');
console.log('imported tidemark');
