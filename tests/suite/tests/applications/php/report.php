<?php
// Shows what PHP has understood of a request, and counts in a session.
session_start();
$_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
header('X-Sample: yes');
http_response_code(201);
$sizes = array_map(fn ($file) => $file['size'], $_FILES);
echo json_encode([
    'count' => $_SESSION['count'],
    'method' => $_SERVER['REQUEST_METHOD'],
    'script' => $_SERVER['SCRIPT_NAME'],
    'info' => $_SERVER['PATH_INFO'] ?? '',
    'form' => $_POST,
    'sizes' => $sizes,
], JSON_UNESCAPED_SLASHES);
