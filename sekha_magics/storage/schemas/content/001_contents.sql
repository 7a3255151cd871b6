CREATE TABLE IF NOT EXISTS contents (
    sha256 TEXT PRIMARY KEY,  -- of the body in UTF-8, in hexadecimal
    body TEXT NOT NULL
);
