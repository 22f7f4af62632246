<?php
// Without a buffer of PHP's own, what is written leaves at once.
while (ob_get_level() > 0) {
    ob_end_flush();
}
for ($number = 0; $number < 3; $number++) {
    echo "$number\n";
    flush();
    usleep(300000);
}
