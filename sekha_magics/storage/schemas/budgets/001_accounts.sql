-- Amounts are whole 1e-12 USD as decimal text: exact, and larger than SQLite's integers.
CREATE TABLE IF NOT EXISTS accounts (
    account TEXT PRIMARY KEY,
    spent TEXT NOT NULL DEFAULT '0',
    reserved TEXT NOT NULL DEFAULT '0'
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
    lease TEXT PRIMARY KEY,
    holder TEXT NOT NULL,   -- the process whose request is under way
    amount TEXT NOT NULL,
    accounts TEXT NOT NULL  -- a JSON list
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS warned (
    account TEXT NOT NULL,
    budget TEXT NOT NULL,   -- the limit the warning was about: a new limit warns anew
    PRIMARY KEY (account, budget)
) WITHOUT ROWID;
