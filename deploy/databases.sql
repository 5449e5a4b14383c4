-- Beside Prefect's database: what reviewers say.
CREATE DATABASE annotation;
